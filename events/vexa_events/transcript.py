"""The committed batch of one stream: what the pool publishes and the collector stores."""

from enum import StrEnum
from itertools import pairwise
from typing import Annotated, Self

from pydantic import Field, model_validator

from vexa_events.fields import (
    Count,
    Epoch,
    Language,
    Message,
    Name,
    RowId,
    Seconds,
    Text,
    Uid,
    at_clock_step,
    same_instant,
    size_bytes,
)
from vexa_events.identity import MissingReason

MAX_SEGMENT_BYTES = 32 * 1024
"""Of a segment as JSON; more than half a minute of the fastest speech takes with every word timed."""
MAX_SPANS = 200
"""As many lie beside the largest segment in a batch that still fits."""
MAX_SEGMENTS = 200
MAX_BATCH_BYTES = 56 * 1024
"""Of a batch as JSON; leaves 8 KiB of an event for its attributes and for those that brokers add."""

Probability = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]


class SpanKind(StrEnum):
    """What an interval of a stream holds."""

    SPEECH = "speech"
    SILENCE = "silence"
    MISSING = "missing"


class Word(Message):
    """One spoken word."""

    text: Text
    start_s: Seconds
    end_s: Seconds
    probability: Probability = 1.0


class Span(Message):
    """An interval (from_s, until_s] of the session clock and what it holds."""

    from_s: Seconds
    until_s: Seconds
    kind: SpanKind
    reason: MissingReason | None = None
    """Set exactly where kind is missing."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.until_s <= self.from_s:
            raise ValueError(f"span ends at {self.until_s} s, not after its start {self.from_s} s")
        if (self.kind is SpanKind.MISSING) != (self.reason is not None):
            raise ValueError("a reason belongs to a missing span, and to no other")
        return self


class Segment(Message):
    """One span of speech with its committed text."""

    seq: Count
    """Rises by one with each segment of an epoch, across batches."""
    start_s: Seconds
    end_s: Seconds
    text: Text
    language: Language | None = None
    speaker: Name | None = None
    """Only in a mixed stream; elsewhere the speaker belongs to the stream."""
    words: Annotated[tuple[Word, ...], Field(max_length=1_000)] = ()
    doubts: Annotated[tuple[Name, ...], Field(max_length=8)] = ()
    """Why the text may be invented (such as repetition or no_speech); empty as a rule."""

    @model_validator(mode="after")
    def _fits_a_batch(self) -> Self:
        _check_size(self, MAX_SEGMENT_BYTES)
        return self


class TranscriptCommitted(Message):
    """
    The final text and spans of (from_s, until_s] of one stream, contiguous within its epoch.

    At most MAX_BATCH_BYTES as JSON; fitting.cut_to_fit cuts what is larger.
    """

    meeting_id: RowId
    user_id: RowId
    session_uid: Uid
    stream_uid: Uid
    epoch: Epoch
    batch_seq: Count
    from_s: Seconds
    until_s: Seconds
    spans: Annotated[tuple[Span, ...], Field(min_length=1, max_length=MAX_SPANS)]
    segments: Annotated[tuple[Segment, ...], Field(max_length=MAX_SEGMENTS)] = ()

    @model_validator(mode="after")
    def _spans_tile_the_batch(self) -> Self:
        edge_s = self.from_s
        for span in self.spans:
            if not same_instant(span.from_s, edge_s):
                raise ValueError(f"span starts at {span.from_s} s, the one before it ends at {edge_s} s")
            edge_s = span.until_s
        if not same_instant(edge_s, self.until_s):
            raise ValueError(f"spans end at {edge_s} s, the batch at {self.until_s} s")
        return self

    @model_validator(mode="after")
    def _segments_lie_inside_in_order(self) -> Self:
        edge_s = at_clock_step(self.from_s)
        for segment in self.segments:
            start_s, end_s = at_clock_step(segment.start_s), at_clock_step(segment.end_s)
            if not edge_s <= start_s <= end_s <= at_clock_step(self.until_s):
                raise ValueError(f"segment {segment.seq} ({start_s}-{end_s} s) is out of order or outside")
            edge_s = end_s
        return self

    @model_validator(mode="after")
    def _segments_are_numbered_in_order(self) -> Self:
        for before, after in pairwise(self.segments):
            if after.seq != before.seq + 1:
                raise ValueError(f"segment {after.seq} follows segment {before.seq}")
        return self

    @model_validator(mode="after")
    def _fits_an_event(self) -> Self:
        _check_size(self, MAX_BATCH_BYTES)
        return self


def _check_size(message: Message, limit_bytes: int) -> None:
    if (size := size_bytes(message)) > limit_bytes:
        raise ValueError(f"{size} bytes of JSON are over the limit of {limit_bytes}")

"""The committed batch of one stream: what the pool publishes and the collector stores."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from vexa_events.fields import Count, Epoch, Language, Message, Name, RowId, Seconds, Text, Uid, same_instant
from vexa_events.identity import MissingReason

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


class TranscriptCommitted(Message):
    """The final text and spans of (from_s, until_s] of one stream, contiguous within its epoch."""

    meeting_id: RowId
    user_id: RowId
    session_uid: Uid
    stream_uid: Uid
    epoch: Epoch
    batch_seq: Count
    from_s: Seconds
    until_s: Seconds
    spans: Annotated[tuple[Span, ...], Field(min_length=1, max_length=1_000)]
    segments: Annotated[tuple[Segment, ...], Field(max_length=200)] = ()

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
        edge_s = self.from_s
        for segment in self.segments:
            inside = edge_s <= segment.start_s <= segment.end_s <= self.until_s
            if not inside:
                raise ValueError(
                    f"segment {segment.seq} ({segment.start_s}-{segment.end_s} s) is out of order or outside"
                )
            edge_s = segment.end_s
        return self

"""Cuts a committed interval into pieces that each fit one event."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vexa_events.fields import CLOCK_STEP_S, at_clock_step, size_bytes
from vexa_events.transcript import MAX_BATCH_BYTES, MAX_SEGMENTS, MAX_SPANS, Segment, Span

MAX_PIECE_BYTES = MAX_BATCH_BYTES - 1024
"""What spans and segments may take of a batch; its other fields have the rest."""
_HALF_STEP_S = CLOCK_STEP_S / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Spans and segments of one batch, which reaches from the first span's start to the last one's end."""

    spans: tuple[Span, ...]
    segments: tuple[Segment, ...]


def cut_to_fit(spans: Sequence[Span], segments: Sequence[Segment]) -> Iterator[Piece]:
    """
    Yield the interval as it is if it fits one event, else in pieces, in order.

    Cuts fall on ends of segments or spans and never inside a segment; spans
    must tile the interval and segments lie in it in order, as in a batch.
    """
    cuts = [] if _fits(spans, segments) else _cuts(spans, segments)
    if not cuts:
        yield Piece(spans=tuple(spans), segments=tuple(segments))
        return
    cut_s = cuts[len(cuts) // 2]
    before = [segment for segment in segments if segment.end_s <= cut_s + _HALF_STEP_S]
    yield from cut_to_fit(_until(spans, cut_s), before)
    yield from cut_to_fit(_since(spans, cut_s), segments[len(before) :])


def _fits(spans: Sequence[Span], segments: Sequence[Segment]) -> bool:
    if len(spans) > MAX_SPANS or len(segments) > MAX_SEGMENTS:
        return False
    return sum(size_bytes(part) + 1 for part in (*spans, *segments)) <= MAX_PIECE_BYTES


def _cuts(spans: Sequence[Span], segments: Sequence[Segment]) -> list[float]:
    ends = {at_clock_step(part) for part in (*(s.end_s for s in segments), *(s.until_s for s in spans))}
    inside = (end_s for end_s in sorted(ends) if spans[0].from_s < end_s < spans[-1].until_s)
    return [end_s for end_s in inside if not any(_splits(end_s, segment) for segment in segments)]


def _splits(cut_s: float, segment: Segment) -> bool:
    return segment.start_s + _HALF_STEP_S < cut_s < segment.end_s - _HALF_STEP_S


def _until(spans: Sequence[Span], cut_s: float) -> list[Span]:
    return [
        span if span.until_s <= cut_s else span.model_copy(update={"until_s": cut_s})
        for span in spans
        if span.from_s < cut_s
    ]


def _since(spans: Sequence[Span], cut_s: float) -> list[Span]:
    return [
        span if span.from_s >= cut_s else span.model_copy(update={"from_s": cut_s})
        for span in spans
        if span.until_s > cut_s
    ]

"""Cuts what is decided into batches: contiguous, tiled with spans, neither too many nor too late."""

from dataclasses import dataclass

from vexa_events.fitting import Piece, cut_to_fit
from vexa_events.transcript import Segment, Span
from vexa_pool.streaming.clock import samples_in
from vexa_pool.streaming.timeline import Timeline

LEAST = samples_in(0.5)
"""A batch covers at least this much audio, so that a stream makes at most two a second."""
WITHOUT_TEXT = samples_in(8.0)
"""Silence is cut at this length, so that acknowledgements go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommittedBatch:
    """A batch without the names of its meeting."""

    batch_seq: int
    from_s: float
    until_s: float
    spans: tuple[Span, ...]
    segments: tuple[Segment, ...]


class BatchCutter:
    """Collects committed segments until their batch is cut."""

    def __init__(self, start: int, timeline: Timeline) -> None:
        """`start` is the position, in samples, at which the first batch begins."""
        self._edge = start
        self._timeline = timeline
        self._segments: list[Segment] = []
        self._seq = 0

    def add(self, segment: Segment) -> None:
        """Put a committed segment into the next batch."""
        self._segments.append(segment)

    def cut(self, horizon: int, *, is_last: bool) -> list[CommittedBatch]:
        """
        Cut everything decided, that is before `horizon`, if it is enough; the last batch may be short.

        It is one batch as a rule, and more where one would not fit an event.
        """
        least = 1 if is_last else LEAST if self._segments else WITHOUT_TEXT
        if horizon - self._edge < least:
            return []
        spans = self._timeline.take(self._edge, horizon)
        if not spans:
            return []
        batches = [self._batch(piece) for piece in cut_to_fit(spans, self._segments)]
        self._edge = horizon
        self._segments.clear()
        return batches

    def _batch(self, piece: Piece) -> CommittedBatch:
        batch = CommittedBatch(
            batch_seq=self._seq,
            from_s=piece.spans[0].from_s,
            until_s=piece.spans[-1].until_s,
            spans=piece.spans,
            segments=piece.segments,
        )
        self._seq += 1
        return batch

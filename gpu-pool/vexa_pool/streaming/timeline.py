"""What each interval of a stream holds: speech and missing audio are marked, the rest is silence."""

from collections import deque
from dataclasses import dataclass, replace

from vexa_events.identity import MissingReason
from vexa_events.transcript import Span, SpanKind
from vexa_pool.streaming.clock import seconds_at


@dataclass(frozen=True, slots=True)
class _Mark:
    start: int
    end: int
    kind: SpanKind
    reason: MissingReason | None


class Timeline:
    """Marks in order of time, until they are taken; positions in samples."""

    def __init__(self) -> None:
        self._marks: deque[_Mark] = deque()

    def mark_speech(self, start: int, end: int) -> None:
        """Say that an interval after every earlier mark is speech."""
        self._mark(_Mark(start, end, SpanKind.SPEECH, None))

    def mark_missing(self, start: int, end: int, reason: MissingReason) -> None:
        """Say that there is no audio for an interval after every earlier mark."""
        self._mark(_Mark(start, end, SpanKind.MISSING, reason))

    def overwrite_missing(self, start: int, end: int, reason: MissingReason) -> None:
        """Say that an interval is missing, whatever was said of it before."""
        if start >= end:
            return
        before, after = deque[_Mark](), deque[_Mark]()
        for mark in self._marks:
            if mark.start < start:
                before.append(replace(mark, end=min(mark.end, start)))
            if mark.end > end:
                after.append(replace(mark, start=max(mark.start, end)))
        self._marks = before + deque([_Mark(start, end, SpanKind.MISSING, reason)]) + after

    def take(self, start: int, end: int) -> tuple[Span, ...]:
        """Tile an interval with spans, without hole or overlap, and forget the marks before its end."""
        spans: list[Span] = []
        edge = start
        while self._marks and self._marks[0].start < end:
            mark = self._marks[0]
            first, last = max(edge, mark.start), min(end, mark.end)
            if first < last:
                _append(spans, edge, first, SpanKind.SILENCE, None)
                _append(spans, first, last, mark.kind, mark.reason)
                edge = last
            if mark.end > end:
                break
            self._marks.popleft()
        _append(spans, edge, end, SpanKind.SILENCE, None)
        return tuple(spans)

    def _mark(self, mark: _Mark) -> None:
        if mark.start < mark.end:
            self._marks.append(mark)


def _append(spans: list[Span], start: int, end: int, kind: SpanKind, reason: MissingReason | None) -> None:
    from_s = spans[-1].until_s if spans else seconds_at(start)
    until_s = seconds_at(end)
    if until_s <= from_s:
        return
    if spans and (spans[-1].kind, spans[-1].reason) == (kind, reason):
        from_s = spans.pop().from_s
    spans.append(Span(from_s=from_s, until_s=until_s, kind=kind, reason=reason))

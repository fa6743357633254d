"""
To which trace each batch of a stream belongs.

A meeting lasts for hours and makes thousands of batches, more than anybody
reads as one trace: each begins one of its own, linked with the session's. The
last words of a stream are part of the session's trace, which so ends with them.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from vexa_events.envelope import Event
from vexa_events.trace_context import TraceContext
from vexa_events.tracing import SpanKind, Tracer
from vexa_events.transcript import TranscriptCommitted


class BatchTraces:
    """Tells the context of each batch; the same one however often it is published."""

    def __init__(self, session: TraceContext | None) -> None:
        self._session = session
        self._is_closing = False
        self._first_of_the_last: int | None = None

    def close(self) -> None:
        """What is added from here on are the last words."""
        self._is_closing = True

    def add(self, batch_seq: int) -> None:
        """Note a batch, in order."""
        if self._is_closing and self._first_of_the_last is None:
            self._first_of_the_last = batch_seq

    @contextmanager
    def publishing(self, event: Event, batch: TranscriptCommitted, tracer: Tracer) -> Iterator[TraceContext | None]:
        """Lend the context of a batch while it is published; record that where it succeeds."""
        session = self._session
        if session is None:
            yield None
            return
        is_last = self._first_of_the_last is not None and batch.batch_seq >= self._first_of_the_last
        context = session.part(event.id) if is_last else session.beside(event.id)
        begun = tracer.begin(
            f"publish {event.type}",
            context,
            kind=SpanKind.PRODUCER,
            parent=session if is_last else None,
            links=() if is_last else [session],
            attributes={
                "vexa.meeting_id": batch.meeting_id,
                "vexa.session_uid": batch.session_uid,
                "vexa.stream_uid": batch.stream_uid,
                "vexa.until_s": batch.until_s,
            },
        )
        yield context
        if begun is not None:
            tracer.end(begun)

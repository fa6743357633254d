"""Publishes what the outbox promised: after each request, and on every tick."""

import logging

from vexa_events.envelope import Event
from vexa_events.errors import InvalidMessage, Unavailable
from vexa_events.trace_context import context_in
from vexa_events.tracing import SpanKind, span
from vexa_functions.sink import Publisher
from vexa_functions.store.tables import Store, Tables

logger = logging.getLogger(__name__)

BATCH = 50
MAX_BATCHES = 20
"""A drain ends after this many batches; the next tick goes on."""


class Relay:
    """Moves one producer's events from the outbox to the sink, at least once, oldest first."""

    def __init__(self, store: Store, publisher: Publisher, *, source: str) -> None:
        self._store = store
        self._publisher = publisher
        self._source = source

    async def drain(self) -> None:
        """Publish what waits; a sink that fails leaves the rest for the next tick."""
        for _ in range(MAX_BATCHES):
            async with self._store.transaction() as tables:
                waiting = await tables.outbox.take(self._source, limit=BATCH)
                is_open = await self._publish(tables, waiting)
            if len(waiting) < BATCH or not is_open:
                return

    async def _publish(self, tables: Tables, waiting: list[tuple[int, Event]]) -> bool:
        """Publish in order until the sink fails; false when it did."""
        for row_id, event in waiting:
            if not await self._settle(tables, row_id, event):
                return False
        return True

    async def _settle(self, tables: Tables, row_id: int, event: Event) -> bool:
        """Publish one event; false where it must be tried again."""
        try:
            with span(f"publish {event.type}", kind=SpanKind.PRODUCER, trace=context_in(event.extensions)):
                await self._publisher.publish(event)
        except Unavailable as exc:
            logger.warning("sink does not answer", extra={"event_id": event.id, "cause": str(exc)})
            return False
        except InvalidMessage as exc:
            logger.error("sink refuses an event", extra={"event_id": event.id, "cause": str(exc)})  # noqa: TRY400 - no defect of ours
            await tables.outbox.refuse(row_id, str(exc))
        else:
            await tables.outbox.mark_published(row_id)
        return True

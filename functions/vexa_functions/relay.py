"""Publishes what the outbox promised: after each request, and on every tick."""

import logging

from vexa_events.envelope import Event
from vexa_events.errors import InvalidMessage, Unavailable
from vexa_events.publisher import Publisher
from vexa_functions.store.tables import Store

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
        try:
            for _ in range(MAX_BATCHES):
                if await self._publish_batch() < BATCH:
                    return
        except Unavailable as exc:
            logger.warning("outbox not drained", extra={"cause": str(exc)})

    async def _publish_batch(self) -> int:
        async with self._store.transaction() as tables:
            waiting = await tables.outbox.take(self._source, limit=BATCH)
            published: list[int] = []
            try:
                for row_id, event in waiting:
                    await self._publish(event)
                    published.append(row_id)
            finally:
                await tables.outbox.mark_published(published)
        return len(waiting)

    async def _publish(self, event: Event) -> None:
        try:
            await self._publisher.publish(event)
        except InvalidMessage:
            logger.exception("sink refuses an event; it is given up", extra={"event_id": event.id})

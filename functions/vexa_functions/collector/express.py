"""
The short way for ordinary batches: the next of a live epoch of one person, with nothing waiting behind.

Batches that arrive while others are being stored go together: one journey to
Postgres, which is one transaction, and after it one to Valkey. What is not
ordinary, or cannot be stored in company, is left to `ingest`.
"""

import asyncio
from collections.abc import Mapping, Sequence

from vexa_events.errors import Overloaded
from vexa_events.live import StoredMark
from vexa_events.transcript import TranscriptCommitted
from vexa_functions.collector.showing import of_batch
from vexa_functions.live_feed import LiveFeed, News, Shown
from vexa_functions.store.batches import Stored
from vexa_functions.store.tables import Store

GROUPS_AT_ONCE = 2
"""While one is with Valkey the other is with Postgres."""
MAX_TOGETHER = 64
MAX_WAITING = 32
"""Groups that wait for their turn; beyond, senders are asked to come again."""
TURN_WITHIN_S = 3.0
"""A group that waits longer finds Postgres or Valkey in trouble."""


class Group:
    """Batches that go together, one of each stream at most."""

    def __init__(self) -> None:
        self._batches: dict[str, TranscriptCommitted] = {}

    def join(self, batch: TranscriptCommitted) -> bool:
        """Add a batch, unless there is no room; the same one again is welcome."""
        present = self._batches.get(batch.stream_uid)
        if present is None and len(self._batches) < MAX_TOGETHER:
            self._batches[batch.stream_uid] = batch
            return True
        return present == batch

    @property
    def batches(self) -> Sequence[TranscriptCommitted]:
        return list(self._batches.values())


class Express:
    """Stores, shows and acknowledges ordinary batches."""

    def __init__(self, store: Store, live: LiveFeed) -> None:
        self._store = store
        self._live = live
        self._turns = asyncio.Semaphore(GROUPS_AT_ONCE)
        self._waiting: dict[Group, asyncio.Task[Mapping[str, Stored]]] = {}
        self._served: set[asyncio.Task[Mapping[str, Stored]]] = set()

    async def take(self, batch: TranscriptCommitted) -> bool:
        """Return true once the batch is stored, shown and acknowledged; false leaves all of that to the caller."""
        stored = await asyncio.shield(self._join(batch))  # others wait for the same group
        return batch.stream_uid in stored

    async def aclose(self) -> None:
        """Wait for the groups that are under way; each is bounded."""
        await asyncio.gather(*self._served, return_exceptions=True)

    def _join(self, batch: TranscriptCommitted) -> "asyncio.Task[Mapping[str, Stored]]":
        for group, task in self._waiting.items():
            if group.join(batch):
                return task
        if len(self._waiting) >= MAX_WAITING:
            raise Overloaded("too many batches wait to be stored")
        group = Group()
        group.join(batch)
        task = asyncio.create_task(self._serve(group))
        self._waiting[group] = task
        self._served.add(task)
        task.add_done_callback(self._served.discard)
        return task

    async def _serve(self, group: Group) -> Mapping[str, Stored]:
        """Wait for a turn, while others join; then store what is next and tell of it."""
        try:
            async with asyncio.timeout(TURN_WITHIN_S):
                await self._turns.acquire()
        except TimeoutError as exc:
            raise Overloaded("batches wait too long to be stored") from exc
        finally:
            del self._waiting[group]
        try:
            async with self._store.reading() as tables:
                stored = await tables.batches.store_next(group.batches)
            news = [_news(batch, stored[batch.stream_uid]) for batch in group.batches if batch.stream_uid in stored]
            if news:
                await self._live.tell(news)
        finally:
            self._turns.release()
        return stored


def _news(batch: TranscriptCommitted, stored: Stored) -> News:
    return News(
        stream_uid=batch.stream_uid,
        meeting_id=batch.meeting_id,
        mark=StoredMark(epoch=batch.epoch, until_s=batch.until_s),
        messages=of_batch(batch, stored.speaker),
        shown=Shown(from_s=batch.from_s, until_s=batch.until_s, start_s=stored.start_s),
    )

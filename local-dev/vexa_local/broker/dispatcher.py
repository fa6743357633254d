"""Takes the entries of one Trigger: side by side, or in order within a partition."""

import asyncio
from collections import Counter, deque
from dataclasses import dataclass, field

from vexa_local.broker.courier import Courier
from vexa_local.broker.delivery import Progress
from vexa_local.broker.journal import Entry, Journal
from vexa_local.broker.resources import Trigger

MAX_TAKEN = 256
"""Entries of one Trigger taken and not yet finished, those that wait for a retry included."""
_READ_COUNT = 64
_BLOCK_MS = 1_000


@dataclass(slots=True)
class Tally:
    """What became of the events of one Trigger since the process started."""

    counts: Counter[str] = field(default_factory=Counter)

    def note(self, what: str) -> None:
        """Count one more."""
        self.counts[what] += 1


class Dispatcher:
    """Carries one Trigger's events from the journal to its courier; lives for one run."""

    def __init__(self, trigger: Trigger, journal: Journal, courier: Courier, tally: Tally) -> None:
        """`tally` outlives this run."""
        self._trigger = trigger
        self._journal = journal
        self._courier = courier
        self._tally = tally
        self._lanes: dict[str, deque[tuple[Entry, Progress]]] = {}
        self._taken = asyncio.Semaphore(MAX_TAKEN)

    async def run(self) -> None:
        """Deliver until cancelled: first what an earlier run left unfinished, then what arrives."""
        async with asyncio.TaskGroup() as tasks:
            after = "0"
            while entries := await self._journal.unfinished(self._trigger.name, after=after, count=_READ_COUNT):
                await self._take(entries, await self._journal.progress(self._trigger.name, entries), tasks)
                after = entries[-1].id
            while True:
                fresh = await self._journal.fresh(self._trigger.name, count=_READ_COUNT, block_ms=_BLOCK_MS)
                await self._take(fresh, [Progress()] * len(fresh), tasks)

    async def _take(self, entries: list[Entry], progresses: list[Progress], tasks: asyncio.TaskGroup) -> None:
        for entry, progress in zip(entries, progresses, strict=True):
            await self._taken.acquire()
            lane = self._lane_of(entry)
            if lane in self._lanes:
                self._lanes[lane].append((entry, progress))
            else:
                self._lanes[lane] = deque([(entry, progress)])
                tasks.create_task(self._empty(lane))

    def _lane_of(self, entry: Entry) -> str:
        """Entries in one lane are handled one after another."""
        if self._trigger.is_ordered:
            return entry.event.extensions.get("partitionkey", entry.id)
        return entry.id

    async def _empty(self, lane: str) -> None:
        waiting = self._lanes[lane]
        while waiting:
            entry, progress = waiting[0]
            self._tally.note(await self._courier.deliver(entry, progress))
            waiting.popleft()
            self._taken.release()
        del self._lanes[lane]

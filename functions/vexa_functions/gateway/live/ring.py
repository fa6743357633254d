"""
The newest entries of each meeting that is watched here: read from Valkey once and spelled once for all its watchers.

A ring is complete behind its start. Who resumes from before that reads for
itself until it meets the ring; so does everyone when the feed was trimmed as
far as the ring had read.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from vexa_events.errors import Overloaded, Unavailable
from vexa_events.live import LiveMessage
from vexa_functions.gateway.live.speakers import Speakers
from vexa_functions.gateway.live.wire import FROM_THE_START, Json, Spelled, entry_message
from vexa_functions.live_feed import LiveReader
from vexa_functions.store.tables import Store

logger = logging.getLogger(__name__)

MAX_ENTRIES = 200
MAX_BYTES = 1024 * 1024
"""Of one ring; a single entry may be longer."""
CLOSE_TIMEOUT_S = 5.0
ALONE = 10
"""Watchers that read for themselves at once; more wait."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a feed; one that this version cannot read has no message."""

    position: str
    message: Spelled | None

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.message.data) if self.message else 0


class Ring:
    """The newest entries of one meeting."""

    def __init__(self, store: Store, reader: LiveReader, meeting_id: int, meeting: Json) -> None:
        self._reader = reader
        self._meeting_id = meeting_id
        self._meeting = meeting
        self._speakers = Speakers(store, meeting_id)
        self._entries: deque[Entry] = deque()
        self._size = 0
        self._start: tuple[int, int] | None = None
        self._failure: Unavailable | None = None
        self.watchers: set[asyncio.Event] = set()
        """Set when there is something new, or when there will be no more."""

    async def follow(self) -> None:
        """Read on until nobody watches, or until the feed cannot be read."""
        try:
            position = await self._reader.newest(self._meeting_id)
            self._start = order(position)
            self._wake()
            while self.watchers:
                position = await self._read_on(position)
        except Unavailable as exc:
            self._failure = exc
        finally:
            self._failure = self._failure or Unavailable("the feed is read no more")
            self._wake()

    @property
    def has_ended(self) -> bool:
        """There will be no more entries."""
        return self._failure is not None

    def check(self) -> None:
        """Raise Unavailable where there will be no more entries."""
        if self._failure is not None:
            raise Unavailable(str(self._failure))

    def covers(self, position: str) -> bool | None:
        """Tell whether every later entry is here; None before that is known."""
        return None if self._start is None else order(position) >= self._start

    def after(self, position: str) -> list[Entry]:
        """Return the entries behind a position that is covered."""
        behind, found = order(position), []
        for entry in reversed(self._entries):
            if order(entry.position) <= behind:
                break
            found.append(entry)
        return found[::-1]

    def forget(self) -> None:
        """Start anew where the feed is gone: there is nothing before what comes next."""
        self._entries.clear()
        self._size, self._start = 0, order(FROM_THE_START)

    async def spell(self, entries: Sequence[tuple[str, LiveMessage | None]]) -> list[Entry]:
        """Spell entries, with the speakers that are known by now."""
        return [Entry(position, await self._spelled(position, message)) for position, message in entries]

    async def _spelled(self, position: str, message: LiveMessage | None) -> Spelled | None:
        if message is None:
            return None
        return Spelled(entry_message(position, self._meeting, await self._speakers.name(message)))

    async def _read_on(self, position: str) -> str:
        read = await self._reader.read(self._meeting_id, position)
        if not read:
            return position
        is_whole = await is_unbroken(self._reader, self._meeting_id, position)
        entries = await self.spell(read)
        if is_whole:
            self._entries.extend(entries)
            self._size += sum(entry.size for entry in entries)
            self._trim()
        else:
            self._entries.clear()
            self._size, self._start = 0, order(entries[-1].position)
        self._wake()
        return entries[-1].position

    def _trim(self) -> None:
        while len(self._entries) > MAX_ENTRIES or (self._size > MAX_BYTES and len(self._entries) > 1):
            dropped = self._entries.popleft()
            self._size -= dropped.size
            self._start = order(dropped.position)

    def _wake(self) -> None:
        for watcher in self.watchers:
            watcher.set()


class Rings:
    """The meetings that are watched here; a ring lives as long as it has a watcher."""

    def __init__(self, store: Store, reader: LiveReader, *, most: int) -> None:
        self._store = store
        self.reader = reader
        self._most = most
        self._rings: dict[int, tuple[Ring, asyncio.Task[None]]] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self.alone = asyncio.Semaphore(ALONE)

    def join(self, meeting_id: int, meeting: Json, news: asyncio.Event) -> Ring:
        """Watch a meeting, spelled so in its messages; raise Overloaded where too many are watched."""
        known = self._rings.get(meeting_id)
        if known is not None and not known[0].has_ended:
            known[0].watchers.add(news)
            return known[0]
        if known is None and len(self._rings) >= self._most:
            raise Overloaded(f"{self._most} meetings are watched here; try again")
        ring = Ring(self._store, self.reader, meeting_id, meeting)
        ring.watchers.add(news)
        task = asyncio.create_task(ring.follow())
        task.add_done_callback(_tell_defect)
        self._rings[meeting_id] = ring, task
        return ring

    def leave(self, meeting_id: int, ring: Ring, news: asyncio.Event) -> None:
        """Watch a meeting no longer."""
        ring.watchers.discard(news)
        known = self._rings.get(meeting_id)
        if known is not None and known[0] is ring and not ring.watchers:
            del self._rings[meeting_id]
            self._end(known[1])

    async def aclose(self) -> None:
        """Stop reading."""
        for ring, task in self._rings.values():
            ring.watchers.clear()
            self._end(task)
        self._rings.clear()
        if self._ending:
            await asyncio.wait(self._ending, timeout=CLOSE_TIMEOUT_S)

    def _end(self, task: "asyncio.Task[None]") -> None:
        if not task.done():
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)
            task.cancel()


def order(position: str) -> tuple[int, int]:
    """Return what positions are compared by."""
    moment, _, number = position.partition("-")
    return int(moment), int(number)


async def is_unbroken(reader: LiveReader, meeting_id: int, position: str) -> bool:
    """Tell whether the feed still holds all that came behind a position: it was not trimmed as far as that."""
    if position == FROM_THE_START:
        return await reader.is_whole(meeting_id)
    return await reader.has(meeting_id, position)


def _tell_defect(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and (defect := task.exception()) is not None:
        logger.error("a feed is read no more", exc_info=defect)

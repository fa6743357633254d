"""
What one watcher is to be sent, whatever carries it.

A meeting's entries in Valkey are bounded and may be trimmed or lost. A watcher
that resumes behind an entry which is still there is sent all later ones, from
the ring that all watchers of the meeting share as soon as that reaches back to
it. Any other, and one that the trimming overtakes, is first sent what Postgres
holds, from a position that was taken before Postgres was read, so that nothing
falls between the two.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from vexa_events.errors import NotFound
from vexa_events.identity import UserId
from vexa_functions.gateway.live.ring import Entry, Ring, Rings, is_unbroken
from vexa_functions.gateway.live.wire import (
    FROM_THE_START,
    Json,
    MeetingRef,
    Spelled,
    status_message,
    stored_message,
)
from vexa_functions.store.meetings import Meeting
from vexa_functions.store.tables import Store
from vexa_functions.store.transcripts import SegmentKey, StoredSegment

PAGE = 200
"""Stored segments in one message."""
WAIT_S = 1.0
"""How long a quiet watcher stays unattended: its heartbeat and its key are looked after between two waits."""


@dataclass(slots=True, kw_only=True)
class _Watched:
    """One meeting, and how far its watcher is."""

    meeting: Meeting
    spelled: Json
    since: str
    """What the watcher said; every page of stored text but the last carries it, so that a cut leads here again."""
    position: str
    ring: Ring
    is_behind: bool
    """Stored text is still to be sent."""
    after: SegmentKey | None = None


class Feed:
    """Follows the meetings of one user for one watcher."""

    def __init__(
        self, store: Store, rings: Rings, user_id: UserId, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._store = store
        self._rings = rings
        self._reader = rings.reader
        self._user_id = user_id
        self._now = now
        self._news = asyncio.Event()
        self._watched: dict[int, _Watched] = {}

    def __len__(self) -> int:
        """Count the meetings that are followed."""
        return len(self._watched)

    async def follow(self, ref: MeetingRef, *, since: str | None) -> Json:
        """Follow the user's newest meeting of that name, from now on where `since` is None; raise NotFound."""
        async with self._store.reading() as tables:
            meeting = await tables.meetings.latest(self._user_id, ref.platform, ref.native_id)
        if meeting is None:
            raise NotFound(f"you have no meeting {ref.platform}/{ref.native_id}")
        position = since or await self._reader.newest(meeting.id)
        is_behind = since is not None and not await self._reader.has(meeting.id, since)
        spelled = ref.spell(meeting.id)
        self._watched[meeting.id] = _Watched(
            meeting=meeting,
            spelled=spelled,
            since=position,
            position=position,
            ring=self._rings.join(meeting.id, spelled, self._news),
            is_behind=is_behind,
        )
        self._news.set()
        return {**spelled, "since": position}

    def forget(self, ref: MeetingRef) -> None:
        """Follow a meeting no longer."""
        for meeting_id, watched in list(self._watched.items()):
            if (watched.spelled["platform"], watched.spelled["native_id"]) == (ref.platform, ref.native_id):
                del self._watched[meeting_id]
                self._rings.leave(meeting_id, watched.ring, self._news)

    def close(self) -> None:
        """Follow nothing any more."""
        for meeting_id, watched in self._watched.items():
            self._rings.leave(meeting_id, watched.ring, self._news)
        self._watched.clear()

    async def next(self) -> list[Spelled]:
        """Wait up to a second for what comes next; return it in order, or nothing."""
        self._news.clear()
        messages: list[Spelled] = []
        for watched in list(self._watched.values()):
            if watched.is_behind:
                return [*messages, *await self._catch_up(watched)]
            messages += await self._go_on(watched)
        if not messages:
            with suppress(TimeoutError):
                async with asyncio.timeout(WAIT_S):
                    await self._news.wait()
        return messages

    async def _go_on(self, watched: _Watched) -> list[Spelled]:
        """Return what lies behind the position, from the ring or read alone; what was forgotten meanwhile is silent."""
        watched.ring.check()
        match watched.ring.covers(watched.position):
            case True:
                entries = watched.ring.after(watched.position)
            case False:
                entries = await self._read_alone(watched)
            case None:
                entries = []
        if not entries or self._watched.get(watched.meeting.id) is not watched:
            return []
        watched.position = entries[-1].position
        return [entry.message for entry in entries if entry.message is not None]

    async def _read_alone(self, watched: _Watched) -> list[Entry]:
        """Read towards the ring; where what came next may be gone, catch up from Postgres instead."""
        meeting_id, position = watched.meeting.id, watched.position
        async with self._rings.alone:
            entries = await self._reader.later(meeting_id, position)
            is_whole = bool(entries) and await is_unbroken(self._reader, meeting_id, position)
        if not entries:
            watched.ring.forget()
        self._news.set()
        if not is_whole:
            watched.since, watched.after, watched.is_behind = watched.position, None, True
            return []
        return await watched.ring.spell(entries)

    async def _catch_up(self, watched: _Watched) -> list[Spelled]:
        """Spell the next page of what is stored; the first is preceded by the meeting's status."""
        first = watched.after is None
        if first:
            watched.position = await self._reader.newest(watched.meeting.id)
        segments, meeting = await self._stored(watched)
        is_last = len(segments) < PAGE
        watched.is_behind = not is_last
        if segments:
            watched.after = SegmentKey(
                stream_uid=segments[-1].stream_uid, epoch=segments[-1].epoch, seq=segments[-1].seq
            )
        at = self._now()
        page = Spelled(stored_message(watched.position if is_last else watched.since, watched.spelled, segments, at))
        if not first:
            return [page]
        return [Spelled(status_message(watched.since, watched.spelled, meeting.status, at)), page]

    async def _stored(self, watched: _Watched) -> tuple[list[StoredSegment], Meeting]:
        ours = watched.meeting
        async with self._store.reading() as tables:
            segments = await tables.transcripts.segments(ours.id, after=watched.after, limit=PAGE)
            meeting = await tables.meetings.latest(
                self._user_id, ours.platform, ours.native_meeting_id, meeting_id=ours.id
            )
        return segments, meeting or ours


def position_of(text: str | None) -> str:
    """Read a position that a watcher remembered; what is none stands for the start."""
    if text is None:
        return FROM_THE_START
    number, dash, counter = text.partition("-")
    is_position = dash and all(part.isascii() and part.isdigit() and len(part) <= 18 for part in (number, counter))
    return text if is_position else FROM_THE_START

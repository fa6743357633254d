"""
What one watcher is to be sent, whatever carries it.

A meeting's entries in Valkey are bounded and may be trimmed or lost. A watcher
that resumes behind an entry which is still there is sent all later ones. Any
other, and one that the trimming overtakes while it reads, is first sent what
Postgres holds, from a position that was taken before Postgres was read, so
that nothing falls between the two.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from vexa_events.errors import NotFound
from vexa_events.identity import UserId
from vexa_functions.gateway.live.speakers import Speakers
from vexa_functions.gateway.live.wire import (
    FROM_THE_START,
    Json,
    MeetingRef,
    entry_message,
    status_message,
    stored_message,
)
from vexa_functions.live_feed import LiveReader
from vexa_functions.store.meetings import Meeting
from vexa_functions.store.tables import Store
from vexa_functions.store.transcripts import SegmentKey, StoredSegment

PAGE = 200
"""Stored segments in one message."""


@dataclass(slots=True, kw_only=True)
class _Watched:
    """One meeting, and how far its watcher is."""

    meeting: Meeting
    spelled: Json
    since: str
    """What the watcher said; every page of stored text but the last carries it, so that a cut leads here again."""
    position: str
    speakers: Speakers
    is_behind: bool
    """Stored text is still to be sent."""
    after: SegmentKey | None = None


class Feed:
    """Follows the meetings of one user for one watcher."""

    def __init__(
        self, store: Store, reader: LiveReader, user_id: UserId, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._store = store
        self._reader = reader
        self._user_id = user_id
        self._now = now
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
        watched = _Watched(
            meeting=meeting,
            spelled=ref.spell(meeting.id),
            since=position,
            position=position,
            speakers=Speakers(self._store, meeting.id),
            is_behind=since is not None and not await self._reader.has(meeting.id, since),
        )
        self._watched[meeting.id] = watched
        return {**watched.spelled, "since": position}

    def forget(self, ref: MeetingRef) -> None:
        """Follow a meeting no longer."""
        for meeting_id, watched in list(self._watched.items()):
            if (watched.spelled["platform"], watched.spelled["native_id"]) == (ref.platform, ref.native_id):
                del self._watched[meeting_id]

    async def next(self) -> list[Json]:
        """Wait up to a second for what comes next; return it in order, or nothing."""
        for watched in self._watched.values():
            if watched.is_behind:
                return await self._catch_up(watched)
        return await self._go_on(dict(self._watched))

    async def _go_on(self, asked_for: dict[int, _Watched]) -> list[Json]:
        """Spell the entries behind the positions; what was subscribed anew meanwhile starts from its own."""
        messages: list[Json] = []
        positions = {meeting_id: watched.position for meeting_id, watched in asked_for.items()}
        entries = await self._reader.read(positions)
        for meeting_id in {meeting_id for meeting_id, _, _ in entries}:
            await self._notice_gap(asked_for[meeting_id])
        for meeting_id, position, message in entries:
            watched = asked_for[meeting_id]
            if watched.is_behind or self._watched.get(meeting_id) is not watched:
                continue
            watched.position = position
            if message is not None:
                messages.append(entry_message(position, watched.spelled, await watched.speakers.name(message)))
        return messages

    async def _notice_gap(self, watched: _Watched) -> None:
        """Catch up from Postgres where the feed was trimmed as far as the position: what came next may be gone."""
        meeting_id, position = watched.meeting.id, watched.position
        is_first = position == FROM_THE_START
        if not await (self._reader.is_whole(meeting_id) if is_first else self._reader.has(meeting_id, position)):
            watched.since, watched.after, watched.is_behind = watched.position, None, True

    async def _catch_up(self, watched: _Watched) -> list[Json]:
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
        page = stored_message(watched.position if is_last else watched.since, watched.spelled, segments, at)
        return [status_message(watched.since, watched.spelled, meeting.status, at), page] if first else [page]

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

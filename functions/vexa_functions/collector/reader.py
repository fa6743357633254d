"""Transcripts and meetings as users read them."""

import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta

from vexa_events.errors import InvalidMessage, NotFound
from vexa_events.identity import UserId, segment_id
from vexa_functions.answers import MeetingAnswer
from vexa_functions.collector.answers import (
    CoverageAnswer,
    FoundAnswer,
    MeetingsAnswer,
    SearchAnswer,
    SegmentAnswer,
    TranscriptAnswer,
)
from vexa_functions.collector.coverage import coverage
from vexa_functions.store.meetings import Meeting
from vexa_functions.store.tables import Store, Tables
from vexa_functions.store.transcripts import SegmentKey

STORING_TAKES = timedelta(seconds=15)
"""A segment becomes readable at most this long after the time that it is stored under."""
WITHOUT_SPACES = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN")
"""Scripts that put no space between words, as they begin the names of their characters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeetingName:
    """How a user names a meeting: by its ids, the newest one, or by its row."""

    platform: str | None = None
    native_meeting_id: str | None = None
    meeting_id: int | None = None

    def __str__(self) -> str:
        ids = f"{self.platform}/{self.native_meeting_id}" if self.platform else ""
        return " ".join(part for part in (ids, f"{self.meeting_id}" if self.meeting_id is not None else "") if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Which part of a transcript to read."""

    since: datetime | None = None
    cursor: str | None = None
    limit: int | None = None

    @property
    def is_whole(self) -> bool:
        return (self.since, self.cursor, self.limit) == (None, None, None)


async def read_transcript(
    store: Store, user_id: UserId, name: MeetingName, *, window: Window = Window()
) -> TranscriptAnswer:
    """Spell a meeting with its segments and coverage, all as of one instant."""
    async with store.snapshot() as tables:
        meeting = await find_meeting(tables, user_id, name)
        segments = await tables.transcripts.segments(
            meeting.id,
            since=None if window.since is None else window.since - STORING_TAKES,
            after=None if window.cursor is None else _key(window.cursor),
            limit=window.limit + 1 if window.limit is not None else None,
        )
        streams = await tables.transcripts.streams(meeting.id)
        spans = await tables.transcripts.spans(meeting.id)
        finalized = await tables.sessions.are_finalized(meeting.id)
    keys = list(dict.fromkeys(segment.key for segment in segments))
    shown = keys[: window.limit]
    wanted = set(shown)
    last = shown[-1] if window.limit is not None and len(shown) < len(keys) else None
    return TranscriptAnswer.of(
        meeting,
        segments=[SegmentAnswer.of(segment) for segment in segments if segment.key in wanted],
        coverage=CoverageAnswer.model_validate(coverage(streams, spans)),
        finalized=finalized,
        next_cursor=None if last is None else segment_id(last.stream_uid, last.epoch, last.seq),
    )


async def list_meetings(
    store: Store, user_id: UserId, *, status: str | None, platform: str | None, offset: int, limit: int | None
) -> MeetingsAnswer:
    """Spell a user's meetings, newest first."""
    async with store.reading() as tables:
        meetings = await tables.meetings.of_user(user_id, status=status, platform=platform, offset=offset, limit=limit)
    return MeetingsAnswer(meetings=[MeetingAnswer.of(meeting) for meeting in meetings])


async def search(store: Store, user_id: UserId, query: str, *, offset: int, limit: int) -> SearchAnswer:
    """Find the segments of a user that match a query."""
    async with store.reading() as tables:
        find = tables.transcripts.search_characters if _lacks_spaces(query) else tables.transcripts.search_words
        found = await find(user_id, query, offset=offset, limit=limit + 1)
    shown = [FoundAnswer.of(one, query) for one in found[:limit]]
    return SearchAnswer(query=query, found=shown, has_more=len(found) > limit)


async def find_meeting(tables: Tables, user_id: UserId, name: MeetingName) -> Meeting:
    """Find a user's meeting; raise NotFound."""
    if name.platform is not None and name.native_meeting_id is not None:
        meeting = await tables.meetings.latest(
            user_id, name.platform, name.native_meeting_id, meeting_id=name.meeting_id
        )
    else:
        meeting = await tables.meetings.by_id(user_id, name.meeting_id or 0)
    if meeting is None:
        raise NotFound(f"you have no meeting {name}")
    return meeting


def _key(cursor: str) -> SegmentKey:
    stream_uid, _, rest = cursor.rpartition("-")
    stream_uid, _, epoch = stream_uid.rpartition("-")
    if not (stream_uid and epoch.isdecimal() and rest.isdecimal() and max(len(epoch), len(rest)) < 10):
        raise InvalidMessage("cursor: must be the next_cursor of the page before")
    return SegmentKey(stream_uid=stream_uid, epoch=int(epoch), seq=int(rest))


def _lacks_spaces(query: str) -> bool:
    return any(unicodedata.name(character, "").startswith(WITHOUT_SPACES) for character in query)

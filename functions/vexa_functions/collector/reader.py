"""Transcripts and meetings as users read them."""

from datetime import datetime, timedelta
from typing import Any

from vexa_events.errors import NotFound
from vexa_events.identity import UserId, segment_id
from vexa_functions.collector.coverage import coverage
from vexa_functions.meeting_shape import meeting_shape
from vexa_functions.store.tables import Store
from vexa_functions.store.transcripts import StoredSegment


async def read_transcript(
    store: Store, user_id: UserId, platform: str, native_meeting_id: str, *, meeting_id: int | None
) -> dict[str, Any]:
    """Spell the newest meeting with these ids (or the one named) with its segments and coverage."""
    async with store.reading() as tables:
        meeting = await tables.meetings.latest(user_id, platform, native_meeting_id, meeting_id=meeting_id)
        if meeting is None:
            raise NotFound(f"you have no meeting {platform}/{native_meeting_id}")
        segments = await tables.transcripts.segments(meeting.id)
        streams = await tables.transcripts.streams(meeting.id)
        spans = await tables.transcripts.spans(meeting.id)
    return {
        **meeting_shape(meeting),
        "segments": [segment_shape(segment) for segment in segments],
        "coverage": coverage(streams, spans),
        "finalized": bool(streams) and all(stream.finalized_at is not None for stream in streams),
    }


async def list_meetings(store: Store, user_id: UserId) -> dict[str, Any]:
    """Spell every meeting of a user, newest first."""
    async with store.reading() as tables:
        meetings = await tables.meetings.of_user(user_id)
    return {"meetings": [meeting_shape(meeting) for meeting in meetings]}


def segment_shape(segment: StoredSegment) -> dict[str, Any]:
    """Spell one stored segment for users."""
    return {
        "segment_id": segment_id(segment.stream_uid, segment.epoch, segment.seq),
        "stream_uid": segment.stream_uid,
        "session_uid": segment.session_uid,
        "start": segment.start_s,
        "end": segment.end_s,
        "text": segment.text,
        "language": segment.language,
        "speaker": segment.speaker,
        "revision": segment.revision,
        "completed": True,
        "doubts": segment.doubts,
        "created_at": segment.created_at.isoformat(),
        "absolute_start_time": _absolute(segment.clock_zero_at, segment.start_s),
        "absolute_end_time": _absolute(segment.clock_zero_at, segment.end_s),
    }


def _absolute(clock_zero_at: datetime | None, position_s: float) -> str | None:
    return None if clock_zero_at is None else (clock_zero_at + timedelta(seconds=position_s)).isoformat()

"""Meetings: a user's calls, one row for each bot that was asked for."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from vexa_events.errors import Conflict
from vexa_events.identity import BotStatus, MeetingId, SessionUid, UserId
from vexa_functions.store.database import Connection

_COLUMNS = """
m.id, m.user_id, m.platform, m.native_meeting_id, m.meeting_url, m.status, m.reason,
m.start_time, m.end_time, m.data, m.created_at, m.updated_at, s.session_uid, s.launcher_ref
"""
_FROM = "FROM meetings m LEFT JOIN sessions s ON s.meeting_id = m.id"
ENDED = "('completed', 'failed')"

INSERT = """
INSERT INTO meetings (user_id, platform, native_meeting_id, meeting_url, status)
VALUES ($1, $2, $3, $4, 'requested')
RETURNING id, user_id, platform, native_meeting_id, meeting_url, status, reason,
          start_time, end_time, data, created_at, updated_at
"""
COUNT_RUNNING = f"SELECT count(*) FROM meetings WHERE user_id = $1 AND status NOT IN {ENDED}"  # noqa: S608
LATEST = f"""
SELECT {_COLUMNS} {_FROM}
 WHERE m.user_id = $1 AND m.platform = $2 AND m.native_meeting_id = $3
   AND ($4::bigint IS NULL OR m.id = $4)
 ORDER BY m.id DESC LIMIT 1
"""
OF_USER = f"SELECT {_COLUMNS} {_FROM} WHERE m.user_id = $1 ORDER BY m.id DESC"
RUNNING = f"SELECT {_COLUMNS} {_FROM} WHERE m.user_id = $1 AND m.status NOT IN {ENDED} ORDER BY m.id"
SET_STATUS = """
UPDATE meetings
   SET status = $2, reason = coalesce($3, reason), updated_at = now(),
       start_time = CASE WHEN $2 = 'active' THEN coalesce(start_time, $4) ELSE start_time END,
       end_time = CASE WHEN $2 IN ('completed', 'failed') THEN coalesce(end_time, $4) ELSE end_time END
 WHERE id = $1
"""
MERGE_DATA = """
UPDATE meetings SET data = data || $2, updated_at = now() WHERE id = $1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Meeting:
    """One request for a bot and what became of it."""

    id: MeetingId
    user_id: UserId
    platform: str
    native_meeting_id: str
    meeting_url: str | None
    status: BotStatus
    reason: str | None
    start_time: datetime | None
    end_time: datetime | None
    data: Mapping[str, Any]
    created_at: datetime
    updated_at: datetime
    session_uid: SessionUid | None = None
    launcher_ref: str | None = None


class Meetings:
    """The meetings table."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def insert(self, user_id: int, *, platform: str, native_meeting_id: str, meeting_url: str | None) -> Meeting:
        """Add a meeting; raise Conflict while the user has one with these ids that has not ended."""
        try:
            row = await self._connection.fetchrow(INSERT, user_id, platform, native_meeting_id, meeting_url)
        except asyncpg.UniqueViolationError as exc:
            raise Conflict(f"an active meeting exists for {platform}/{native_meeting_id}") from exc
        return _meeting(row)

    async def count_running(self, user_id: int) -> int:
        """Count a user's meetings that have not ended."""
        return int(await self._connection.fetchval(COUNT_RUNNING, user_id))

    async def latest(
        self, user_id: int, platform: str, native_meeting_id: str, *, meeting_id: int | None = None
    ) -> Meeting | None:
        """Find the newest meeting with these ids, or exactly the one that is named."""
        row = await self._connection.fetchrow(LATEST, user_id, platform, native_meeting_id, meeting_id)
        return None if row is None else _meeting(row)

    async def of_user(self, user_id: int) -> list[Meeting]:
        """List a user's meetings, newest first."""
        return [_meeting(row) for row in await self._connection.fetch(OF_USER, user_id)]

    async def running(self, user_id: int) -> list[Meeting]:
        """List a user's meetings that have not ended, oldest first."""
        return [_meeting(row) for row in await self._connection.fetch(RUNNING, user_id)]

    async def set_status(self, meeting_id: int, status: BotStatus, *, reason: str | None, at: datetime) -> None:
        """Record a state of the meeting's session, and start or end with it."""
        await self._connection.execute(SET_STATUS, meeting_id, status.value, reason, at)

    async def merge_data(self, meeting_id: int, data: Mapping[str, Any]) -> None:
        """Set the named keys of a meeting's data, leave the others."""
        await self._connection.execute(MERGE_DATA, meeting_id, dict(data))


def _meeting(row: Any) -> Meeting:
    fields = dict(row)
    return Meeting(**{**fields, "status": BotStatus(fields["status"])})

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
m.evidence, m.start_time, m.end_time, m.data, m.created_at, m.updated_at, m.deleted_at, s.session_uid, s.launcher_ref
"""
_FROM = "FROM meetings m LEFT JOIN sessions s ON s.meeting_id = m.id"
ENDED = "('completed', 'failed')"

INSERT = """
INSERT INTO meetings (user_id, platform, native_meeting_id, meeting_url, idempotency_key, idempotency_hash, status)
VALUES ($1, $2, $3, $4, $5, $6, 'requested')
RETURNING id, user_id, platform, native_meeting_id, meeting_url, status, reason,
          start_time, end_time, data, created_at, updated_at
"""
COUNT_RUNNING = f"SELECT count(*) FROM meetings WHERE user_id = $1 AND status NOT IN {ENDED}"  # noqa: S608
LATEST = f"""
SELECT {_COLUMNS} {_FROM}
 WHERE m.user_id = $1 AND m.platform = $2 AND m.native_meeting_id = $3
   AND ($4::bigint IS NULL OR m.id = $4) AND m.deleted_at IS NULL
 ORDER BY m.id DESC LIMIT 1
"""
LATEST_OR_DELETED = f"""
SELECT {_COLUMNS} {_FROM}
 WHERE m.user_id = $1 AND m.platform = $2 AND (m.native_meeting_id = $3 OR m.deleted_mark = $4)
   AND ($5::bigint IS NULL OR m.id = $5)
 ORDER BY m.id DESC LIMIT 1
   FOR UPDATE OF m
"""
BY_ID = f"SELECT {_COLUMNS} {_FROM} WHERE m.user_id = $1 AND m.id = $2 AND m.deleted_at IS NULL"
BY_IDEMPOTENCY_KEY = f"""
SELECT {_COLUMNS}, m.idempotency_hash {_FROM} WHERE m.user_id = $1 AND m.idempotency_key = $2
"""
OF_USER = f"""
SELECT {_COLUMNS} {_FROM}
 WHERE m.user_id = $1 AND m.deleted_at IS NULL
   AND ($2::text IS NULL OR m.status = $2) AND ($3::text IS NULL OR m.platform = $3)
 ORDER BY m.id DESC OFFSET $4 LIMIT $5
"""
PAGE = f"SELECT {_COLUMNS} {_FROM} ORDER BY m.id DESC OFFSET $1 LIMIT $2"
COUNT = "SELECT count(*) FROM meetings"
RUNNING = f"SELECT {_COLUMNS} {_FROM} WHERE m.user_id = $1 AND m.status NOT IN {ENDED} ORDER BY m.id"
SET_STATUS = """
UPDATE meetings
   SET status = $2, reason = coalesce($3, reason), updated_at = now(),
       evidence = CASE WHEN deleted_at IS NOT NULL THEN NULL
                       WHEN $3 IS NULL OR $3 = reason THEN coalesce($5, evidence)
                       ELSE $5 END,
       start_time = CASE WHEN $2 = 'active' THEN coalesce(start_time, $4) ELSE start_time END,
       end_time = CASE WHEN $2 IN ('completed', 'failed') THEN coalesce(end_time, $4) ELSE end_time END
 WHERE id = $1
"""
START = "UPDATE meetings SET start_time = coalesce(start_time, $2) WHERE id = $1"
MERGE_DATA = """
UPDATE meetings SET data = jsonb_strip_nulls(data || $2), updated_at = now() WHERE id = $1 AND deleted_at IS NULL
"""
FILL_DATA = "UPDATE meetings SET data = $2 || data WHERE id = $1 AND deleted_at IS NULL"
RELEASE_IDEMPOTENCY_KEY = "UPDATE meetings SET idempotency_key = NULL, idempotency_hash = NULL WHERE id = $1"


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
    deleted_at: datetime | None = None
    evidence: str | None = None
    """What the reason was concluded from, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Idempotency:
    """How a request says that it is the same as an earlier one."""

    key: str
    body_hash: bytes


class Meetings:
    """The meetings table."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def insert(
        self,
        user_id: int,
        *,
        platform: str,
        native_meeting_id: str,
        meeting_url: str | None,
        idempotency: Idempotency | None = None,
    ) -> Meeting:
        """Add a meeting; raise Conflict while the user has one with these ids that has not ended."""
        key, body_hash = (idempotency.key, idempotency.body_hash) if idempotency else (None, None)
        try:
            row = await self._connection.fetchrow(
                INSERT, user_id, platform, native_meeting_id, meeting_url, key, body_hash
            )
        except asyncpg.UniqueViolationError as exc:
            raise Conflict(f"an active meeting exists for {platform}/{native_meeting_id}") from exc
        return _meeting(row)

    async def by_idempotency_key(self, user_id: int, key: str) -> tuple[Meeting, bytes] | None:
        """Find the meeting that a request under this key made, and the hash of that request."""
        row = await self._connection.fetchrow(BY_IDEMPOTENCY_KEY, user_id, key)
        if row is None:
            return None
        fields = dict(row)
        body_hash: bytes = fields.pop("idempotency_hash")
        return _meeting(fields), body_hash

    async def release_idempotency_key(self, meeting_id: int) -> None:
        """Let a request under the same key be tried anew."""
        await self._connection.execute(RELEASE_IDEMPOTENCY_KEY, meeting_id)

    async def count_running(self, user_id: int) -> int:
        """Count a user's meetings that have not ended."""
        return int(await self._connection.fetchval(COUNT_RUNNING, user_id))

    async def latest(
        self, user_id: int, platform: str, native_meeting_id: str, *, meeting_id: int | None = None
    ) -> Meeting | None:
        """Find the newest meeting with these ids, or exactly the one that is named."""
        row = await self._connection.fetchrow(LATEST, user_id, platform, native_meeting_id, meeting_id)
        return None if row is None else _meeting(row)

    async def lock_latest_or_deleted(
        self, user_id: int, platform: str, native_meeting_id: str, *, deleted_mark: bytes, meeting_id: int | None
    ) -> Meeting | None:
        """Find and hold the newest meeting that has or had these ids, or the one of them that is named."""
        row = await self._connection.fetchrow(
            LATEST_OR_DELETED, user_id, platform, native_meeting_id, deleted_mark, meeting_id
        )
        return None if row is None else _meeting(row)

    async def by_id(self, user_id: int, meeting_id: int) -> Meeting | None:
        """Find a user's meeting by row id."""
        row = await self._connection.fetchrow(BY_ID, user_id, meeting_id)
        return None if row is None else _meeting(row)

    async def of_user(
        self,
        user_id: int,
        *,
        status: str | None = None,
        platform: str | None = None,
        offset: int = 0,
        limit: int | None = None,
    ) -> list[Meeting]:
        """List a user's meetings, newest first; without a limit all of them."""
        rows = await self._connection.fetch(OF_USER, user_id, status, platform, offset, limit)
        return [_meeting(row) for row in rows]

    async def page(self, *, skip: int, limit: int) -> list[Meeting]:
        """List everybody's meetings, newest first, deleted ones included."""
        return [_meeting(row) for row in await self._connection.fetch(PAGE, skip, limit)]

    async def count(self) -> int:
        """Count everybody's meetings, deleted ones included."""
        return int(await self._connection.fetchval(COUNT))

    async def running(self, user_id: int) -> list[Meeting]:
        """List a user's meetings that have not ended, oldest first."""
        return [_meeting(row) for row in await self._connection.fetch(RUNNING, user_id)]

    async def set_status(
        self, meeting_id: int, status: BotStatus, *, reason: str | None, at: datetime, evidence: str | None = None
    ) -> None:
        """Record a state of the meeting's session, and start or end with it; the last evidence of a reason counts."""
        await self._connection.execute(SET_STATUS, meeting_id, status.value, reason, at, evidence)

    async def start(self, meeting_id: int, at: datetime) -> None:
        """Note when the bot came in; the first word counts."""
        await self._connection.execute(START, meeting_id, at)

    async def merge_data(self, meeting_id: int, data: Mapping[str, Any]) -> None:
        """Set the named keys of a meeting's data, drop those that are null, leave the others."""
        await self._connection.execute(MERGE_DATA, meeting_id, dict(data))

    async def fill_data(self, meeting_id: int, data: Mapping[str, Any]) -> None:
        """Set the named keys of a meeting's data that nobody has set."""
        await self._connection.execute(FILL_DATA, meeting_id, dict(data))


def _meeting(row: Any) -> Meeting:
    """Build a meeting from a row that has its columns and no others."""
    fields = dict(row)
    return Meeting(**{**fields, "status": BotStatus(fields["status"])})

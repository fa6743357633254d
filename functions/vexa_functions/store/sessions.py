"""Sessions and their transitions: one bot's attendance of one meeting."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from vexa_events.identity import BotStatus, MeetingId, SessionUid, Task, UserId
from vexa_events.trace_context import TraceContext, context_in
from vexa_functions.store.database import Connection

_SELECT = """
SELECT s.session_uid, s.meeting_id, m.user_id, m.platform, m.native_meeting_id, m.meeting_url, s.status, s.sequence,
       s.bot_name, s.language, s.task, s.passcode, s.automatic_leave, s.launcher_ref, s.launch_due_at, s.requested_at,
       s.clock_zero_at, s.heartbeat_at, s.reconfigured_at, s.stop_requested_at, s.ended_at,
       coalesce(s.end_noted_at, s.ended_at) AS end_noted_at, s.finalized_at, s.trace
  FROM sessions s JOIN meetings m ON m.id = s.meeting_id
"""
INSERT = """
INSERT INTO sessions (session_uid, meeting_id, status, bot_name, language, task, passcode, automatic_leave)
VALUES ($1, $2, 'requested', $3, $4, $5, $6, $7)
"""
BY_UID = _SELECT + " WHERE s.session_uid = $1"
LOCK = _SELECT + " WHERE s.session_uid = $1 FOR NO KEY UPDATE OF m FOR UPDATE OF s"
HOLD = "SELECT status FROM sessions WHERE session_uid = $1 FOR SHARE"
LOCK_RUNNING_OF_MEETING = (
    _SELECT + " WHERE s.meeting_id = $1 AND s.ended_at IS NULL FOR NO KEY UPDATE OF m FOR UPDATE OF s"
)
RUNNING = _SELECT + " WHERE s.ended_at IS NULL AND s.session_uid > $1 ORDER BY s.session_uid LIMIT $2"
LIVE_PAGE = """
SELECT s.session_uid FROM sessions s JOIN meetings m ON m.id = s.meeting_id
 WHERE (s.ended_at IS NULL OR s.ended_at > now() - interval '1 hour') AND m.deleted_at IS NULL AND s.session_uid > $1
 ORDER BY s.session_uid LIMIT $2
"""
ARE_FINALIZED = """
SELECT count(*) > 0 AND bool_and(finalized_at IS NOT NULL) FROM sessions WHERE meeting_id = $1
"""
TO_FINALIZE = _SELECT + " WHERE s.ended_at IS NOT NULL AND s.finalized_at IS NULL ORDER BY s.ended_at LIMIT $1"
TO_LAUNCH = (
    _SELECT
    + """
 WHERE s.ended_at IS NULL AND s.launcher_ref IS NULL AND s.status = 'requested'
   AND s.stop_requested_at IS NULL ORDER BY s.requested_at LIMIT $1
"""
)
ENDS = """
SELECT s.session_uid, coalesce(s.end_noted_at, s.ended_at) AS end_noted_at FROM sessions s WHERE s.session_uid = ANY($1)
"""
CLAIM_LAUNCH = """
UPDATE sessions SET launch_due_at = now() + $2::interval
 WHERE session_uid = $1 AND launcher_ref IS NULL AND status = 'requested' AND launch_due_at <= now()
   AND stop_requested_at IS NULL
RETURNING session_uid
"""
SET_TRACE = "UPDATE sessions SET trace = $2 WHERE session_uid = $1"
SET_LAUNCHED = "UPDATE sessions SET launcher_ref = $2 WHERE session_uid = $1"
SET_STATUS = """
UPDATE sessions
   SET status = $2, sequence = $3,
       clock_zero_at = CASE WHEN $2 = 'active' THEN coalesce(clock_zero_at, $4) ELSE clock_zero_at END,
       ended_at = CASE WHEN $2 IN ('completed', 'failed') THEN $4 ELSE ended_at END,
       end_noted_at = CASE WHEN $2 IN ('completed', 'failed') THEN now() ELSE end_noted_at END
 WHERE session_uid = $1
"""
ADD_TRANSITION = """
INSERT INTO transitions (session_uid, sequence, status, reason, evidence, at) VALUES ($1, $2, $3, $4, $5, $6)
"""
COUNT_ARRIVING = """
SELECT count(*) FROM sessions
 WHERE ended_at IS NULL AND status IN ('requested', 'joining', 'awaiting_admission')
   AND requested_at > now() - make_interval(secs => $1)
"""
START_CLOCK = "UPDATE sessions SET clock_zero_at = coalesce(clock_zero_at, $2) WHERE session_uid = $1"
BEAT = "UPDATE sessions SET heartbeat_at = now() WHERE session_uid = $1"
REQUEST_STOP = "UPDATE sessions SET stop_requested_at = coalesce(stop_requested_at, now()) WHERE session_uid = $1"
RECONFIGURE = "UPDATE sessions SET language = $2, task = $3, reconfigured_at = now() WHERE session_uid = $1"
SET_FINALIZED = """
UPDATE sessions SET finalized_at = now() WHERE session_uid = $1 AND finalized_at IS NULL RETURNING finalized_at
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One bot's attendance, with the meeting's identity joined."""

    session_uid: SessionUid
    meeting_id: MeetingId
    user_id: UserId
    platform: str
    native_meeting_id: str
    meeting_url: str | None
    status: BotStatus
    sequence: int
    bot_name: str
    language: str | None
    task: Task
    passcode: str | None
    automatic_leave: Mapping[str, Any] | None
    launcher_ref: str | None
    launch_due_at: datetime
    """While there is no launcher_ref: from when on anybody may launch the bot."""
    requested_at: datetime
    clock_zero_at: datetime | None
    heartbeat_at: datetime | None
    reconfigured_at: datetime | None
    stop_requested_at: datetime | None
    ended_at: datetime | None
    """The last evidence of life where a bot ended without a word."""
    end_noted_at: datetime | None
    """When the end was written down."""
    finalized_at: datetime | None
    trace: TraceContext | None = None
    """The request for the bot."""


class Sessions:
    """The sessions and transitions tables."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def insert(
        self,
        session_uid: str,
        meeting_id: int,
        *,
        bot_name: str,
        language: str | None,
        task: Task,
        passcode: str | None,
        automatic_leave: Mapping[str, Any] | None = None,
    ) -> None:
        """Add a session in the state requested."""
        leave = None if automatic_leave is None else dict(automatic_leave)
        await self._connection.execute(INSERT, session_uid, meeting_id, bot_name, language, task.value, passcode, leave)
        await self._connection.execute(
            ADD_TRANSITION, session_uid, 0, BotStatus.REQUESTED.value, None, None, await self._now()
        )

    async def set_trace(self, session_uid: str, trace: TraceContext) -> None:
        """Note to which trace all belongs that becomes of a session."""
        await self._connection.execute(SET_TRACE, session_uid, trace.texts())

    async def by_uid(self, session_uid: str) -> Session | None:
        """Find a session."""
        return _session(await self._connection.fetchrow(BY_UID, session_uid))

    async def lock(self, session_uid: str) -> Session | None:
        """Find a session; hold its meeting's row and then its own until the transaction ends."""
        return _session(await self._connection.fetchrow(LOCK, session_uid))

    async def hold(self, session_uid: str) -> BotStatus | None:
        """Return the state of a session, which stays as it is until the transaction ends; several may hold one."""
        status = await self._connection.fetchval(HOLD, session_uid)
        return None if status is None else BotStatus(status)

    async def lock_running_of_meeting(self, meeting_id: int) -> Session | None:
        """Find the session of a meeting that has not ended; hold both, the meeting first."""
        return _session(await self._connection.fetchrow(LOCK_RUNNING_OF_MEETING, meeting_id))

    async def running(self, *, after: str, limit: int) -> list[Session]:
        """List sessions that have not ended, in order of their uid and behind one."""
        return [Session(**_parsed(row)) for row in await self._connection.fetch(RUNNING, after, limit)]

    async def live_page(self, *, after: str, limit: int) -> list[str]:
        """List sessions that run or ended within the hour and are not deleted, in order and behind one."""
        return [row["session_uid"] for row in await self._connection.fetch(LIVE_PAGE, after, limit)]

    async def count_arriving(self, *, within_s: float) -> int:
        """Count everybody's sessions that were asked for lately and will need a slot of the pool."""
        return int(await self._connection.fetchval(COUNT_ARRIVING, within_s))

    async def to_finalize(self, *, limit: int) -> list[Session]:
        """List sessions that ended but whose storage was not declared complete, oldest first."""
        return [Session(**_parsed(row)) for row in await self._connection.fetch(TO_FINALIZE, limit)]

    async def to_launch(self, *, limit: int) -> list[Session]:
        """List sessions of whose bot nothing is known yet, oldest first."""
        return [Session(**_parsed(row)) for row in await self._connection.fetch(TO_LAUNCH, limit)]

    async def ends(self, session_uids: Sequence[str]) -> dict[str, datetime | None]:
        """Tell of each session that is known when its end was noted; None where it has not ended."""
        rows = await self._connection.fetch(ENDS, list(session_uids))
        return {row["session_uid"]: row["end_noted_at"] for row in rows}

    async def are_finalized(self, meeting_id: int) -> bool:
        """Tell whether the storage of every session of a meeting was declared complete."""
        return bool(await self._connection.fetchval(ARE_FINALIZED, meeting_id))

    async def claim_launch(self, session_uid: str, *, lease: timedelta) -> Session | None:
        """Take it upon oneself to launch a bot that nobody launches now; None where somebody did or does."""
        claimed = await self._connection.fetchval(CLAIM_LAUNCH, session_uid, lease)
        return None if claimed is None else await self.by_uid(session_uid)

    async def set_launched(self, session_uid: str, launcher_ref: str) -> None:
        """Remember how the launcher calls this bot."""
        await self._connection.execute(SET_LAUNCHED, session_uid, launcher_ref)

    async def enter(
        self, session: Session, status: BotStatus, *, reason: str | None, evidence: str | None, at: datetime
    ) -> int:
        """Record the next state of a locked session; return its sequence."""
        sequence = session.sequence + 1
        await self._connection.execute(SET_STATUS, session.session_uid, status.value, sequence, at)
        await self._connection.execute(
            ADD_TRANSITION, session.session_uid, sequence, status.value, reason, evidence, at
        )
        return sequence

    async def start_clock(self, session_uid: str, at: datetime) -> None:
        """Note when position 0 s of the session clock was; the first word counts."""
        await self._connection.execute(START_CLOCK, session_uid, at)

    async def beat(self, session_uid: str) -> None:
        """Note a sign of life."""
        await self._connection.execute(BEAT, session_uid)

    async def request_stop(self, session_uid: str) -> None:
        """Store the intent to stop; the first one counts."""
        await self._connection.execute(REQUEST_STOP, session_uid)

    async def reconfigure(self, session_uid: str, *, language: str | None, task: Task) -> None:
        """Store what a locked session is to do from now on; without a language the model detects it."""
        await self._connection.execute(RECONFIGURE, session_uid, language, task.value)

    async def set_finalized(self, session_uid: str) -> bool:
        """Declare a session's storage complete; false when it already was."""
        return await self._connection.fetchval(SET_FINALIZED, session_uid) is not None

    async def _now(self) -> datetime:
        now: datetime = await self._connection.fetchval("SELECT now()")
        return now


def _session(row: Any) -> Session | None:
    return None if row is None else Session(**_parsed(row))


def _parsed(row: Any) -> dict[str, Any]:
    fields = dict(row)
    trace = context_in(fields["trace"] or {})
    return {**fields, "status": BotStatus(fields["status"]), "task": Task(fields["task"]), "trace": trace}

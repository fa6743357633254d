"""What users can do with bots: ask for one, stop it, reconfigure it, list them."""

import logging
import secrets
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any

from vexa_events.errors import Conflict, Forbidden, InvalidMessage, NotFound, Unauthenticated, Unavailable
from vexa_events.identity import BotStatus, SessionUid, Task, UserId
from vexa_events.launch import TOKEN_VARIABLE, BotOrder
from vexa_events.lifecycle import BotStatusChanged
from vexa_events.registry import bot_event
from vexa_events.session_token import SessionClaims, issue_session_token
from vexa_functions.bots.announcing import Announcer
from vexa_functions.bots.launchers.launcher import Launcher
from vexa_functions.bots.lifecycle import enter
from vexa_functions.bots.platforms import check_meeting
from vexa_functions.bots.requests import BotRequest, ConfigRequest
from vexa_functions.meeting_shape import meeting_shape
from vexa_functions.store.meetings import Meeting
from vexa_functions.store.tables import Store, Tables

logger = logging.getLogger(__name__)

DEFAULT_BOT_NAME = "Vexa"
NORMALIZED_STATUS = {
    BotStatus.REQUESTED: "Requested",
    BotStatus.JOINING: "Starting",
    BotStatus.AWAITING_ADMISSION: "Starting",
    BotStatus.ACTIVE: "Up",
    BotStatus.STOPPING: "Stopping",
    BotStatus.COMPLETED: "Exited",
    BotStatus.FAILED: "Failed",
}


class BotService:
    """Users' requests about their bots."""

    def __init__(
        self,
        store: Store,
        launcher: Launcher,
        announcer: Announcer,
        *,
        offered: Collection[str],
        signing_key: str,
        session_lifetime: timedelta,
        bot_env: dict[str, str],
    ) -> None:
        """`bot_env` holds the variables that every bot gets."""
        self._store = store
        self._launcher = launcher
        self._announcer = announcer
        self._offered = offered
        self._signing_key = signing_key
        self._session_lifetime = session_lifetime
        self._bot_env = bot_env

    async def request_bot(self, user_id: UserId, wanted: BotRequest) -> dict[str, Any]:
        """Write the meeting and its session in one transaction, then launch the bot."""
        check_meeting(wanted.platform, wanted.native_meeting_id, offered=self._offered)
        session_uid = SessionUid(secrets.token_hex(12))
        async with self._store.transaction() as tables:
            meeting = await _insert_meeting(tables, user_id, wanted, session_uid)
        await self._announcer.announce(session_uid, meeting.id, BotStatus.REQUESTED)
        await self._launch(meeting, session_uid, wanted)
        return await self._shape(user_id, meeting)

    async def stop_bot(self, user_id: UserId, platform: str, native_meeting_id: str) -> None:
        """Store the intent to stop; the bot reads it with its next heartbeat."""
        async with self._store.transaction() as tables:
            meeting = await _latest(tables, user_id, platform, native_meeting_id)
            session = await tables.sessions.lock_running_of_meeting(meeting.id)
            if session is None:
                return
            await tables.sessions.request_stop(session.session_uid)
            await enter(tables, session, BotStatus.STOPPING, at=datetime.now(UTC), reason="stopped_by_user")
        await self._announcer.announce(session.session_uid, meeting.id, BotStatus.STOPPING)

    async def configure_bot(
        self, user_id: UserId, platform: str, native_meeting_id: str, wanted: ConfigRequest
    ) -> None:
        """Store a new language or task; the bot reads it with its next heartbeat."""
        if wanted.language is None and wanted.task is None:
            raise InvalidMessage("body: name a language or a task")
        async with self._store.transaction() as tables:
            meeting = await _latest(tables, user_id, platform, native_meeting_id)
            session = await tables.sessions.lock_running_of_meeting(meeting.id)
            if session is None or session.status is not BotStatus.ACTIVE:
                raise Conflict(f"the bot is {meeting.status.value}, not active")
            await tables.sessions.reconfigure(session.session_uid, language=wanted.language, task=wanted.task)

    async def running_bots(self, user_id: UserId) -> dict[str, Any]:
        """List the bots of a user that have not ended."""
        async with self._store.reading() as tables:
            meetings = await tables.meetings.running(user_id)
        return {"running_bots": [_running_shape(meeting) for meeting in meetings]}

    async def _launch(self, meeting: Meeting, session_uid: SessionUid, wanted: BotRequest) -> None:
        claims = SessionClaims.model_validate({"sub": session_uid, "meeting": meeting.id, "user": meeting.user_id})
        token = issue_session_token(
            claims, key=self._signing_key, now=datetime.now(UTC), lifetime=self._session_lifetime
        )
        order = _order(meeting, session_uid, wanted)
        try:
            reference = await self._launcher.launch(
                session_uid, {**self._bot_env, **order.to_env(), TOKEN_VARIABLE: token}
            )
        except Unavailable as exc:
            await self._give_up(meeting, session_uid, cause=str(exc))
            raise
        async with self._store.reading() as tables:
            await tables.sessions.set_launched(session_uid, reference)

    async def _give_up(self, meeting: Meeting, session_uid: SessionUid, *, cause: str) -> None:
        async with self._store.transaction() as tables:
            session = await tables.sessions.lock(session_uid)
            if session is not None:
                at = datetime.now(UTC)
                await enter(tables, session, BotStatus.FAILED, at=at, reason="launch_failed", evidence=cause)
        await self._announcer.announce(session_uid, meeting.id, BotStatus.FAILED)

    async def _shape(self, user_id: UserId, meeting: Meeting) -> dict[str, Any]:
        async with self._store.reading() as tables:
            current = await _latest(tables, user_id, meeting.platform, meeting.native_meeting_id)
        return meeting_shape(current)


async def _insert_meeting(tables: Tables, user_id: UserId, wanted: BotRequest, session_uid: SessionUid) -> Meeting:
    user = await tables.users.lock(user_id)
    if user is None:
        raise Unauthenticated("the key's user no longer exists")
    existing = await tables.meetings.latest(user_id, wanted.platform, wanted.native_meeting_id)
    if existing is not None and not existing.status.is_terminal:
        raise Conflict(f"meeting {existing.id} is already {existing.status.value} with these ids")
    limit = user.max_concurrent_bots
    if limit and await tables.meetings.count_running(user_id) >= limit:
        raise Forbidden(f"User has reached the maximum concurrent bot limit ({limit}).")
    meeting = await tables.meetings.insert(
        user_id, platform=wanted.platform, native_meeting_id=wanted.native_meeting_id, meeting_url=None
    )
    await tables.sessions.insert(
        session_uid,
        meeting.id,
        bot_name=wanted.bot_name or DEFAULT_BOT_NAME,
        language=wanted.language,
        task=wanted.task or Task.TRANSCRIBE,
        passcode=wanted.passcode,
    )
    change = BotStatusChanged(
        meeting_id=meeting.id,
        user_id=user_id,
        session_uid=session_uid,
        platform=meeting.platform,
        native_meeting_id=meeting.native_meeting_id,
        status=BotStatus.REQUESTED,
        sequence=0,
        at=meeting.created_at,
    )
    await tables.outbox.add(bot_event(change))
    return meeting


async def _latest(tables: Tables, user_id: UserId, platform: str, native_meeting_id: str) -> Meeting:
    meeting = await tables.meetings.latest(user_id, platform, native_meeting_id)
    if meeting is None:
        raise NotFound(f"you have no meeting {platform}/{native_meeting_id}")
    return meeting


def _order(meeting: Meeting, session_uid: SessionUid, wanted: BotRequest) -> BotOrder:
    return BotOrder(
        session_uid=session_uid,
        meeting_id=meeting.id,
        platform=meeting.platform,
        native_meeting_id=meeting.native_meeting_id,
        meeting_url=meeting.meeting_url,
        passcode=wanted.passcode,
        bot_name=wanted.bot_name or DEFAULT_BOT_NAME,
        language=wanted.language,
        task=wanted.task or Task.TRANSCRIBE,
    )


def _running_shape(meeting: Meeting) -> dict[str, Any]:
    return {
        "container_id": meeting.launcher_ref,
        "container_name": meeting.session_uid,
        "platform": meeting.platform,
        "native_meeting_id": meeting.native_meeting_id,
        "status": meeting.status.value,
        "normalized_status": NORMALIZED_STATUS[meeting.status],
        "created_at": meeting.created_at.isoformat(),
        "labels": {},
        "meeting_id_from_name": str(meeting.id),
    }

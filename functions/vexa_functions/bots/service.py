"""What users can do with bots: ask for one, stop it, reconfigure it, list them."""

import hashlib
import logging
import re
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from vexa_events.errors import Conflict, Forbidden, InvalidMessage, NotFound, Unauthenticated
from vexa_events.identity import BotStatus, SessionUid, Task, UserId
from vexa_events.lifecycle import BotStatusChanged
from vexa_events.registry import bot_event
from vexa_events.tracing import current, note
from vexa_functions.answers import MeetingAnswer
from vexa_functions.bots.admission import Admission
from vexa_functions.bots.announcing import Announcer
from vexa_functions.bots.answers import RunningBotAnswer, RunningBotsAnswer
from vexa_functions.bots.launching import Launching
from vexa_functions.bots.lifecycle import enter
from vexa_functions.bots.platforms import WantedMeeting, check_meeting
from vexa_functions.bots.requests import BotRequest, ConfigRequest
from vexa_functions.store.meetings import Idempotency, Meeting
from vexa_functions.store.tables import Store, Tables
from vexa_functions.store.users import User

logger = logging.getLogger(__name__)

DEFAULT_BOT_NAME = "Vexa"
IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """On what terms bots are sent here."""

    offered: Collection[str]
    """Platforms that a bot exists for."""
    self_hosted: Mapping[str, str]
    """Platform by host, for meeting servers of our own."""
    at_home: Collection[str] = ()
    """Platforms on whose server of our own a meeting's id is enough."""


class BotService:
    """Users' requests about their bots."""

    def __init__(
        self, store: Store, launching: Launching, announcer: Announcer, admission: Admission, terms: Terms
    ) -> None:
        self._store = store
        self._launching = launching
        self._announcer = announcer
        self._admission = admission
        self._terms = terms

    async def request_bot(
        self, user_id: UserId, wanted: BotRequest, *, idempotency_key: str | None = None
    ) -> MeetingAnswer:
        """
        Write the meeting and its session in one transaction, then launch the bot: nothing that may hang comes between.

        A request under the key of an earlier one is answered with the meeting
        that the earlier one made, as it is by now; its bot is launched now
        where the earlier one did not come to that.
        """
        where = wanted.meeting(self_hosted=self._terms.self_hosted)
        check_meeting(where, offered=self._terms.offered, at_home=self._terms.at_home)
        plan = _Plan(
            user_id=user_id,
            session_uid=SessionUid(secrets.token_hex(12)),
            where=where,
            wanted=wanted,
            idempotency=_idempotency(idempotency_key, wanted),
        )
        meeting = await self._known(plan)
        if meeting is None:
            await self._admission.check(wanted.language, wanted.task)
            async with self._store.transaction() as tables:
                meeting = await _find_or_insert(tables, plan)
        note({"vexa.meeting_id": meeting.id, "vexa.session_uid": meeting.session_uid or ""})
        await self._launch(meeting)
        return await self._answer(user_id, meeting)

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
        if not wanted.names_language and wanted.task is None:
            raise InvalidMessage("body: name a language or a task")
        await self._admission.check_order(wanted.language, wanted.task)
        async with self._store.transaction() as tables:
            meeting = await _latest(tables, user_id, platform, native_meeting_id)
            session = await tables.sessions.lock_running_of_meeting(meeting.id)
            if session is None or session.status is not BotStatus.ACTIVE:
                raise Conflict(f"the bot is {meeting.status.value}, not active")
            await tables.sessions.reconfigure(
                session.session_uid,
                language=wanted.language if wanted.names_language else session.language,
                task=wanted.task or session.task,
            )

    async def running_bots(self, user_id: UserId) -> RunningBotsAnswer:
        """List the bots of a user that have not ended."""
        async with self._store.reading() as tables:
            meetings = await tables.meetings.running(user_id)
        return RunningBotsAnswer(running_bots=[RunningBotAnswer.of(meeting) for meeting in meetings])

    async def _known(self, plan: "_Plan") -> Meeting | None:
        """Find what an earlier request under the same key made; no pool need have room for that."""
        if plan.idempotency is None:
            return None
        async with self._store.reading() as tables:
            return await _made_before(tables, plan.user_id, plan.idempotency)

    async def _launch(self, meeting: Meeting) -> None:
        if meeting.session_uid is None or meeting.launcher_ref is not None:
            return
        if await self._launching.launch_or_end(meeting.session_uid):
            await self._announcer.announce(meeting.session_uid, meeting.id, BotStatus.REQUESTED)

    async def _answer(self, user_id: UserId, meeting: Meeting) -> MeetingAnswer:
        async with self._store.reading() as tables:
            current = await tables.meetings.by_id(user_id, meeting.id)
        return MeetingAnswer.of(current or meeting)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """One request for a bot, understood."""

    user_id: UserId
    session_uid: SessionUid
    where: WantedMeeting
    wanted: BotRequest
    idempotency: Idempotency | None


def _idempotency(key: str | None, wanted: BotRequest) -> Idempotency | None:
    if key is None:
        return None
    if not IDEMPOTENCY_KEY.fullmatch(key):
        raise InvalidMessage("Idempotency-Key: must have 1 to 255 printable ASCII characters")
    body = wanted.model_dump_json(exclude_none=True).encode()
    return Idempotency(key=key, body_hash=hashlib.sha256(body).digest())


async def _made_before(tables: Tables, user_id: UserId, idempotency: Idempotency) -> Meeting | None:
    found = await tables.meetings.by_idempotency_key(user_id, idempotency.key)
    if found is None:
        return None
    meeting, body_hash = found
    if body_hash != idempotency.body_hash:
        raise InvalidMessage("Idempotency-Key: was used for a request with another body")
    return meeting


async def _find_or_insert(tables: Tables, plan: _Plan) -> Meeting:
    """Hold the user's row, so that requests are decided one at a time; return the meeting, new or known."""
    user = await tables.users.lock(plan.user_id)
    if user is None:
        raise Unauthenticated("the key's user no longer exists")
    made_before = plan.idempotency and await _made_before(tables, plan.user_id, plan.idempotency)
    if made_before:
        return made_before
    await _check_room(tables, user, plan.where)
    meeting = await tables.meetings.insert(
        plan.user_id,
        platform=plan.where.platform,
        native_meeting_id=plan.where.native_meeting_id,
        meeting_url=plan.where.url,
        idempotency=plan.idempotency,
    )
    await _insert_session(tables, meeting, plan)
    return replace(meeting, session_uid=plan.session_uid)


async def _check_room(tables: Tables, user: User, where: WantedMeeting) -> None:
    existing = await tables.meetings.latest(user.id, where.platform, where.native_meeting_id)
    if existing is not None and not existing.status.is_terminal:
        raise Conflict(f"meeting {existing.id} is already {existing.status.value} with these ids")
    limit = user.max_concurrent_bots
    if limit and await tables.meetings.count_running(user.id) >= limit:
        raise Forbidden(f"User has reached the maximum concurrent bot limit ({limit}).")


async def _insert_session(tables: Tables, meeting: Meeting, plan: _Plan) -> None:
    wanted, leave = plan.wanted, plan.wanted.automatic_leave
    await tables.sessions.insert(
        plan.session_uid,
        meeting.id,
        bot_name=wanted.bot_name or DEFAULT_BOT_NAME,
        language=wanted.language,
        task=wanted.task or Task.TRANSCRIBE,
        passcode=plan.where.passcode,
        automatic_leave=None if leave is None else leave.model_dump(exclude_none=True),
    )
    if trace := current():
        await tables.sessions.set_trace(plan.session_uid, trace)
    change = BotStatusChanged(
        meeting_id=meeting.id,
        user_id=meeting.user_id,
        session_uid=plan.session_uid,
        platform=meeting.platform,
        native_meeting_id=meeting.native_meeting_id,
        status=BotStatus.REQUESTED,
        sequence=0,
        at=meeting.created_at,
    )
    await tables.outbox.add(bot_event(change).traced(trace))


async def _latest(tables: Tables, user_id: UserId, platform: str, native_meeting_id: str) -> Meeting:
    meeting = await tables.meetings.latest(user_id, platform, native_meeting_id)
    if meeting is None:
        raise NotFound(f"you have no meeting {platform}/{native_meeting_id}")
    return meeting

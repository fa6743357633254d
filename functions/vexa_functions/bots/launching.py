"""
Starting the bots of sessions that were written down.

The intent is the session's row. An instance that vanishes on the way leaves it
to whoever comes next: the same request sent again, or the tick. No launcher
starts a second bot for a session, so two who try at once do no harm.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from vexa_events.errors import Unavailable
from vexa_events.identity import BotStatus, SessionUid
from vexa_events.launch import TOKEN_VARIABLE, AutomaticLeave, BotOrder
from vexa_events.session_token import SessionClaims, issue_session_token
from vexa_events.tracing import span
from vexa_functions.bots.announcing import Announcer
from vexa_functions.bots.launchers.launcher import Launcher, NewBot
from vexa_functions.bots.lifecycle import enter
from vexa_functions.store.sessions import Session
from vexa_functions.store.tables import Store

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchTerms:
    """What every bot is given on its way."""

    signing_key: str
    session_lifetime: timedelta
    bot_env: Mapping[str, str]
    """The variables that every bot gets."""
    lease: timedelta
    """How long one who launches is left alone with it."""


class Launching:
    """Launches bots, each until it is known that there is one."""

    def __init__(self, store: Store, launcher: Launcher, announcer: Announcer, terms: LaunchTerms) -> None:
        self._store = store
        self._launcher = launcher
        self._announcer = announcer
        self._terms = terms

    async def launch(self, session_uid: SessionUid) -> bool:
        """Launch a bot that nobody launches now; tell whether we did. Raise Unavailable where the launcher cannot."""
        session = await self._claim(session_uid)
        if session is not None:
            await self._start(session)
        return session is not None

    async def launch_or_end(self, session_uid: SessionUid) -> bool:
        """Do the same for a request that is refused where the launcher cannot: its session then ends."""
        session = await self._claim(session_uid)
        if session is None:
            return False
        try:
            await self._start(session)
        except Unavailable as exc:
            await self._give_up(session, cause=str(exc))
            raise
        return True

    async def _claim(self, session_uid: SessionUid) -> Session | None:
        async with self._store.transaction() as tables:
            return await tables.sessions.claim_launch(session_uid, lease=self._terms.lease)

    async def _start(self, session: Session) -> None:
        """Raise Unavailable where there is no bot; one that is there is found by its session, noted or not."""
        with span("launch bot", trace=session.trace, attributes={"vexa.session_uid": session.session_uid}):
            reference = await self._launcher.launch(self._new_bot(session))
        try:
            async with self._store.reading() as tables:
                await tables.sessions.set_launched(session.session_uid, reference)
        except Unavailable as exc:
            logger.warning("launch not noted", extra={"session_uid": session.session_uid, "cause": str(exc)})

    def _new_bot(self, session: Session) -> NewBot:
        terms, uid = self._terms, session.session_uid
        claims = SessionClaims.model_validate({"sub": uid, "meeting": session.meeting_id, "user": session.user_id})
        token = issue_session_token(
            claims, key=terms.signing_key, now=datetime.now(UTC), lifetime=terms.session_lifetime
        )
        env = {**terms.bot_env, **_order(session).to_env(), TOKEN_VARIABLE: token}
        return NewBot(session_uid=uid, meeting_id=session.meeting_id, env=env)

    async def _give_up(self, claimed: Session, *, cause: str) -> None:
        """End what nobody else launches by now; a request under the same key is then a new one."""
        async with self._store.transaction() as tables:
            session = await tables.sessions.lock(claimed.session_uid)
            if session is None or session.launcher_ref or session.launch_due_at != claimed.launch_due_at:
                return
            at = datetime.now(UTC)
            await enter(tables, session, BotStatus.FAILED, at=at, reason="launch_failed", evidence=cause)
            await tables.meetings.release_idempotency_key(session.meeting_id)
        await self._announcer.announce(session.session_uid, session.meeting_id, BotStatus.FAILED)


def _order(session: Session) -> BotOrder:
    return BotOrder(
        session_uid=session.session_uid,
        meeting_id=session.meeting_id,
        platform=session.platform,
        native_meeting_id=session.native_meeting_id,
        meeting_url=session.meeting_url,
        passcode=session.passcode,
        bot_name=session.bot_name,
        language=session.language,
        task=session.task,
        automatic_leave=AutomaticLeave.model_validate(session.automatic_leave or {}),
        **({} if session.trace is None else session.trace.texts()),
    )

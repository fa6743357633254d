"""
Ending sessions whose bot is provably gone; run on every tick.

Only evidence ends a session: the launcher saw its process exit. Silence, or a
launcher that knows nothing of the bot, ends none.
"""

import logging
from datetime import UTC, datetime

from vexa_events.identity import BotStatus
from vexa_functions.bots.announcing import Announcer
from vexa_functions.bots.launchers.launcher import Exited, Launcher
from vexa_functions.bots.lifecycle import enter
from vexa_functions.store.sessions import Session
from vexa_functions.store.tables import Store

logger = logging.getLogger(__name__)

SWEEP_LIMIT = 500


class Reconciler:
    """Holds what launchers observe against what the rows say."""

    def __init__(self, store: Store, launcher: Launcher, announcer: Announcer) -> None:
        self._store = store
        self._launcher = launcher
        self._announcer = announcer

    async def sweep(self) -> None:
        """Fail every running session whose bot has exited without a last word; publish what waits."""
        async with self._store.reading() as tables:
            running = await tables.sessions.running(limit=SWEEP_LIMIT)
        for session in running:
            if session.launcher_ref is None:
                continue
            seen = await self._launcher.observe(session.launcher_ref)
            if isinstance(seen, Exited):
                await self._end_lost(session, seen)
        await self._announcer.drain()

    async def _end_lost(self, observed: Session, seen: Exited) -> None:
        async with self._store.transaction() as tables:
            session = await tables.sessions.lock(observed.session_uid)
            if session is None:
                return
            evidence = f"process exited with code {seen.code if seen.code is not None else 'unknown'}"
            at = datetime.now(UTC)
            entered = await enter(tables, session, BotStatus.FAILED, at=at, reason="bot_lost", evidence=evidence)
        if entered:
            logger.warning("bot lost", extra={"session_uid": session.session_uid, "evidence": evidence})
            await self._announcer.announce(session.session_uid, session.meeting_id, BotStatus.FAILED)

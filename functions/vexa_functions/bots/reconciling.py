"""
Holding what launchers observe against what the rows say; run on every tick.

The rows win: a bot without a running session is ended. What the evidence
proves is for `judging` to say.
"""

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from vexa_events.errors import Unavailable
from vexa_events.identity import BotStatus
from vexa_functions.bots.announcing import Announcer
from vexa_functions.bots.judging import (
    Ended,
    Limits,
    ToKill,
    ToRemove,
    ToStop,
    Undecided,
    judge_exit,
    judge_leftover,
    judge_running,
    judge_unlaunched,
)
from vexa_functions.bots.launchers.launcher import Exited, Found, Launcher
from vexa_functions.bots.lifecycle import enter
from vexa_functions.store.sessions import Session
from vexa_functions.store.tables import Store

logger = logging.getLogger(__name__)

SWEEP_LIMIT = 500
PUBLISHED_KEPT = timedelta(days=7)
"""How long an event stays in the outbox after the Broker has taken it: webhooks look there for what they missed."""
Judgement = Ended | ToStop | ToKill | ToRemove | Undecided


def utc_now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


class Reconciler:
    """Ends sessions whose bot is provably gone, and bots whose session has ended."""

    def __init__(
        self,
        store: Store,
        launcher: Launcher,
        announcer: Announcer,
        limits: Limits,
        *,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._store = store
        self._launcher = launcher
        self._announcer = announcer
        self._limits = limits
        self._clock = clock

    async def sweep(self) -> None:
        """Judge every running session and every bot that is left over, then publish what waits."""
        try:
            await self._reconcile()
        except Unavailable as exc:
            logger.warning("launcher not asked", extra={"cause": str(exc)})
        await self._announcer.drain()
        async with self._store.reading() as tables:
            await tables.outbox.forget_published(older_than=PUBLISHED_KEPT)

    async def _reconcile(self) -> None:
        """The list of bots is read before the rows: a bot that it holds has had its row by then."""
        found = await self._launcher.found()
        async with self._store.reading() as tables:
            running = await tables.sessions.running(limit=SWEEP_LIMIT)
            ends = await tables.sessions.ends([bot.session_uid for bot in found])
        by_uid = {bot.session_uid: bot for bot in found}
        for session in running:
            await self._judge(session, by_uid.get(session.session_uid))
        for bot in found:
            if bot.session_uid not in ends:
                await self._clear(bot, since=bot.started_at)
            elif (ended_at := ends[bot.session_uid]) is not None:
                await self._clear(bot, since=ended_at)

    async def _judge(self, session: Session, bot: Found | None) -> None:
        reference = session.launcher_ref or await self._adopted(session, bot)
        if reference is None:
            judgement: Judgement = judge_unlaunched(session, now=self._clock(), limits=self._limits)
            await self._carry_out(judgement, session, None)
            return
        seen = await self._launcher.observe(reference)
        if isinstance(seen, Exited):
            await self._end_exited(session, seen)
        else:
            judgement = judge_running(session, seen, now=self._clock(), limits=self._limits)
            await self._carry_out(judgement, session, reference)

    async def _adopted(self, session: Session, bot: Found | None) -> str | None:
        """Take up a bot whose launch was never written down; a launch that may still go on is left alone."""
        if bot is None or self._clock() - session.requested_at <= self._limits.launch:
            return None
        async with self._store.reading() as tables:
            await tables.sessions.set_launched(session.session_uid, bot.reference)
        logger.warning("bot adopted", extra={"session_uid": session.session_uid})
        return bot.reference

    async def _carry_out(self, judgement: Judgement, session: Session, reference: str | None) -> None:
        if isinstance(judgement, Ended):
            await self._end(session, judgement)
            if reference is not None:
                await self._launcher.stop(reference)
        elif reference is not None:
            await self._act(judgement, session.session_uid, reference)

    async def _clear(self, bot: Found, *, since: datetime) -> None:
        seen = await self._launcher.observe(bot.reference)
        judgement = judge_leftover(since, seen, now=self._clock(), limits=self._limits)
        await self._act(judgement, bot.session_uid, bot.reference)

    async def _act(self, judgement: Judgement, session_uid: str, reference: str) -> None:
        match judgement:
            case ToStop():
                logger.warning("bot told to end by its launcher", extra={"session_uid": session_uid})
                await self._launcher.stop(reference)
            case ToKill():
                logger.warning("bot killed", extra={"session_uid": session_uid})
                await self._launcher.kill(reference)
            case ToRemove():
                await self._launcher.remove(reference)

    async def _end_exited(self, observed: Session, seen: Exited) -> None:
        async with self._store.reading() as tables:
            streams = await tables.streams.of_session(observed.session_uid)
        await self._end(observed, judge_exit(observed, seen, streams))

    async def _end(self, observed: Session, ended: Ended) -> None:
        """Write the end, unless the bot reported one in the meantime."""
        async with self._store.transaction() as tables:
            session = await tables.sessions.lock(observed.session_uid)
            if session is None:
                return
            at = self._clock()
            entered = await enter(tables, session, ended.status, at=at, reason=ended.reason, evidence=ended.evidence)
        if not entered:
            return
        told = {"session_uid": session.session_uid, "reason": ended.reason, "evidence": ended.evidence}
        logger.log(logging.WARNING if ended.status is BotStatus.FAILED else logging.INFO, "session ended", extra=told)
        await self._announcer.announce(session.session_uid, session.meeting_id, ended.status)

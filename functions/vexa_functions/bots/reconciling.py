"""
Holding what launchers observe against what the rows say; run on every tick.

The rows win: a bot without a running session is ended. What the evidence
proves is for `judging` to say.
"""

import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

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
    Unheard,
    judge_exit,
    judge_launch,
    judge_leftover,
    judge_running,
    judge_unheard,
    judge_unlaunched,
)
from vexa_functions.bots.launchers.launcher import Exited, Found, Launcher
from vexa_functions.bots.launching import Launching
from vexa_functions.bots.lifecycle import enter
from vexa_functions.bots.standing import tell
from vexa_functions.store.sessions import Session
from vexa_functions.store.tables import Store

logger = logging.getLogger(__name__)

SWEEP = "bots"
SWEEP_LIMIT = 500
"""Sessions that one tick judges; the next tick goes on with those behind."""
PUBLISHED_KEPT = timedelta(days=7)
"""How long an event stays in the outbox after the Broker has taken it: webhooks look there for what they missed."""
MAX_REFUSALS = 3
"""A launcher that cannot tell of so many bots is spared the others until the next tick."""
Judgement = Ended | ToStop | ToKill | ToRemove | Undecided


class Reconciler:
    """Ends sessions whose bot is provably gone, and bots whose session has ended."""

    def __init__(
        self,
        store: Store,
        launcher: Launcher,
        launching: Launching,
        announcer: Announcer,
        limits: Limits,
        *,
        clock: Callable[[], Awaitable[datetime]] | None = None,
    ) -> None:
        """`clock` tells the time of a sweep: the database's, as are the times that rows carry."""
        self._store = store
        self._launcher = launcher
        self._launching = launching
        self._announcer = announcer
        self._limits = limits
        self._clock = clock or store.now

    async def sweep(self) -> None:
        """Launch what is due, judge every running session and every bot that is left over, publish what waits."""
        now = await self._clock()
        await self._launch_due(now)
        try:
            await self._reconcile(now)
        except Unavailable as exc:
            logger.warning("launcher not asked", extra={"cause": str(exc)})
        await self._announcer.drain()
        async with self._store.reading() as tables:
            await tables.outbox.forget_published(older_than=PUBLISHED_KEPT)
            tell(await tables.census.standing())

    async def _launch_due(self, now: datetime) -> None:
        """Launch bots of which nothing is known; one refusal spares the launcher the others until the next tick."""
        async with self._store.reading() as tables:
            due = await tables.sessions.to_launch(limit=SWEEP_LIMIT)
        cause: str | None = None
        for session in due:
            if cause is None:
                cause = await self._launch_again(session)
            if cause is not None:
                judgement = judge_launch(session, cause, now=now, limits=self._limits)
                await self._carry_out(judgement, session, None, now)

    async def _launch_again(self, session: Session) -> str | None:
        """Launch a bot, unless somebody is about to; return why the launcher could not."""
        try:
            if await self._launching.launch(session.session_uid):
                logger.warning("bot launched on the tick", extra={"session_uid": session.session_uid})
        except Unavailable as exc:
            logger.warning("bot not launched", extra={"session_uid": session.session_uid, "cause": str(exc)})
            return str(exc)
        return None

    async def _reconcile(self, now: datetime) -> None:
        """The list of bots is read before the rows: a bot that it holds has had its row by then."""
        found = await self._launcher.found()
        async with self._store.reading() as tables:
            after = await tables.sweeps.position(SWEEP)
            running = await tables.sessions.running(after=after, limit=SWEEP_LIMIT)
            await tables.sweeps.move(SWEEP, [session.session_uid for session in running], limit=SWEEP_LIMIT)
            ends = await tables.sessions.ends([bot.session_uid for bot in found])
        by_uid = {bot.session_uid: bot for bot in found}
        refusals = _Refusals()
        for session in running:
            with refusals.passed_over(session.session_uid):
                await self._judge(session, by_uid.get(session.session_uid), now)
        for bot in found:
            since = ends.get(bot.session_uid, bot.started_at)
            if since is not None:
                with refusals.passed_over(bot.session_uid):
                    await self._clear(bot, since=since, now=now)

    async def _judge(self, session: Session, bot: Found | None, now: datetime) -> None:
        reference = session.launcher_ref or await self._adopted(session, bot)
        if reference is None:
            judgement: Judgement = judge_unlaunched(session, now=now, limits=self._limits)
            await self._carry_out(judgement, session, None, now)
            return
        seen = await self._launcher.observe(reference)
        if isinstance(seen, Exited):
            await self._end_exited(session, seen, now)
        else:
            judgement = judge_running(session, seen, now=now, limits=self._limits)
            await self._carry_out(judgement, session, reference, now)

    async def _adopted(self, session: Session, bot: Found | None) -> str | None:
        """Take up a bot that reported to us though its launch was never noted."""
        if bot is None or session.status is BotStatus.REQUESTED:
            return None
        async with self._store.reading() as tables:
            await tables.sessions.set_launched(session.session_uid, bot.reference)
        logger.warning("bot adopted", extra={"session_uid": session.session_uid})
        return bot.reference

    async def _carry_out(self, judgement: Judgement, session: Session, reference: str | None, at: datetime) -> None:
        if isinstance(judgement, Ended):
            await self._end(session, judgement, at)
            if reference is not None:
                await self._launcher.stop(reference)
        elif reference is not None:
            await self._act(judgement, session.session_uid, reference)

    async def _clear(self, bot: Found, *, since: datetime, now: datetime) -> None:
        seen = await self._launcher.observe(bot.reference)
        judgement = judge_leftover(since, seen, now=now, limits=self._limits)
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

    async def _end_exited(self, observed: Session, seen: Exited, now: datetime) -> None:
        async with self._store.reading() as tables:
            streams = await tables.streams.of_session(observed.session_uid)
        ended = judge_exit(observed, seen, streams, now=now)
        unheard = judge_unheard(observed, seen, now=now, limits=self._limits)
        await self._end(observed, ended, now, unheard if ended.reason == "bot_lost" else None)

    async def _end(self, observed: Session, ended: Ended, at: datetime, unheard: Unheard | None = None) -> None:
        """Write the end, unless the bot reported one in the meantime."""
        async with self._store.transaction() as tables:
            session = await tables.sessions.lock(observed.session_uid)
            if session is None:
                return
            if unheard is not None and not session.status.is_terminal:
                await tables.streams.note_unheard(session.session_uid, from_s=unheard.from_s, until_s=unheard.until_s)
            entered = await enter(
                tables, session, ended.status, at=ended.at or at, reason=ended.reason, evidence=ended.evidence
            )
        if not entered:
            return
        told = {"session_uid": session.session_uid, "reason": ended.reason, "evidence": ended.evidence}
        logger.log(logging.WARNING if ended.status is BotStatus.FAILED else logging.INFO, "session ended", extra=told)
        await self._announcer.announce(session.session_uid, session.meeting_id, ended.status)


class _Refusals:
    """What a launcher could not tell in one sweep; a single bot that it cannot tell of holds up no other."""

    def __init__(self) -> None:
        self._count = 0

    @contextmanager
    def passed_over(self, session_uid: str) -> Iterator[None]:
        try:
            yield
        except Unavailable as exc:
            self._count += 1
            if self._count >= MAX_REFUSALS:
                raise
            logger.warning("bot not judged", extra={"session_uid": session_uid, "cause": str(exc)})

"""One user's sessions and their bots, with a tick at any time."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.waiting import DEADLINE_S

from vexa_events.identity import BotStatus, Task, UserId
from vexa_functions.bots.announcing import Announcer
from vexa_functions.bots.judging import Limits
from vexa_functions.bots.launchers.launcher import Exited, Launcher, NewBot
from vexa_functions.bots.launching import Launching, LaunchTerms
from vexa_functions.bots.lifecycle import enter
from vexa_functions.bots.reconciling import Reconciler
from vexa_functions.store.sessions import Session
from vexa_functions.store.tables import Store

SLEEP = "import time; time.sleep(60)"
IGNORE = "import signal; signal.signal(15, signal.SIG_IGN); " + SLEEP
LIMITS = Limits(
    launch=timedelta(seconds=100),
    stop_grace=timedelta(seconds=10),
    kill_grace=timedelta(seconds=20),
    silence=timedelta(seconds=1_800),
    kept=timedelta(seconds=300),
    heartbeat=timedelta(seconds=2),
)


@dataclass
class World:
    """One user's sessions, their bots, and a tick at any time."""

    store: Store
    runtime: Any
    launcher: Launcher
    announcer: Announcer
    user_id: UserId
    references: dict[str, str] = field(default_factory=dict)

    async def request(self, uid: str = "session", *, lease_s: float = 0.0) -> None:
        """Write a session down, and claim its launch, as a request does before it launches."""
        async with self.store.transaction() as tables:
            meeting = await tables.meetings.insert(
                self.user_id, platform="replay", native_meeting_id=uid, meeting_url=None
            )
            await tables.sessions.insert(
                uid, meeting.id, bot_name="Vexa", language=None, task=Task.TRANSCRIBE, passcode=None
            )
        async with self.store.transaction() as tables:
            assert await tables.sessions.claim_launch(uid, lease=timedelta(seconds=lease_s)) is not None

    async def launch(self, script: str = SLEEP, uid: str = "session", *, is_noted: bool = True) -> str:
        """Start a bot; without a note as an instance does that vanishes right then."""
        reference = await self.launcher.launch(NewBot(session_uid=uid, meeting_id=1, env={"SCRIPT": script}))
        self.references[uid] = reference
        if is_noted:
            async with self.store.reading() as tables:
                await tables.sessions.set_launched(uid, reference)
        return reference

    async def enter(self, *statuses: BotStatus, uid: str = "session") -> None:
        for status in statuses:
            async with self.store.transaction() as tables:
                session = await tables.sessions.lock(uid)
                assert session is not None
                await enter(tables, session, status, at=datetime.now(UTC))

    async def order_stop(self, uid: str = "session") -> None:
        async with self.store.transaction() as tables:
            await tables.sessions.request_stop(uid)
        await self.enter(BotStatus.STOPPING, uid=uid)

    async def tick(self, after_s: float = 0.0, launcher: Launcher | None = None) -> None:
        """Sweep as if so many seconds had passed."""

        async def later() -> datetime:
            return await self.store.now() + timedelta(seconds=after_s)

        launcher = launcher or self.launcher
        terms = LaunchTerms(
            signing_key="a signing key for tests, 32 bytes or more",
            session_lifetime=timedelta(hours=1),
            bot_env={"SCRIPT": SLEEP},
            lease=timedelta(0),
        )
        launching = Launching(self.store, launcher, self.announcer, terms)
        await Reconciler(self.store, launcher, launching, self.announcer, LIMITS, clock=later).sweep()

    async def exited(self, uid: str = "session") -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not isinstance(await self.launcher.observe(self.references[uid]), Exited):
                await asyncio.sleep(0.05)

    async def session(self, uid: str = "session") -> Session:
        async with self.store.reading() as tables:
            session = await tables.sessions.by_uid(uid)
        assert session is not None
        return session

    async def outcome(self, uid: str = "session") -> tuple[str, str | None]:
        """Return the meeting's status and reason."""
        async with self.store.reading() as tables:
            meetings = await tables.meetings.of_user(self.user_id)
        found = next(meeting for meeting in meetings if meeting.native_meeting_id == uid)
        return found.status.value, found.reason


MakeWorld = Callable[[Any], Awaitable[World]]

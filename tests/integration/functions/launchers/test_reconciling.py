"""Rows, bots and evidence, on real Postgres and with whatever runs bots."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.waiting import DEADLINE_S

from vexa_events.callbacks import StreamReport
from vexa_events.errors import Unavailable
from vexa_events.identity import BotStatus, StreamKind, Task, UserId
from vexa_events.publisher import SinkPublisher
from vexa_events.registry import CONTRACTS, bot_type
from vexa_functions.bots.announcing import Announcer
from vexa_functions.bots.judging import Limits
from vexa_functions.bots.launchers.launcher import Exited, Launcher, NewBot
from vexa_functions.bots.launchers.process import ProcessLauncher
from vexa_functions.bots.launching import Launching, LaunchTerms
from vexa_functions.bots.lifecycle import enter
from vexa_functions.bots.reconciling import Reconciler
from vexa_functions.live_feed import LiveFeed
from vexa_functions.relay import Relay
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


@pytest.fixture
async def make_world(store: Store, valkey: Any, sink: Any) -> AsyncIterator[MakeWorld]:
    """Build a world around what runs the bots."""
    source = CONTRACTS[bot_type(BotStatus.REQUESTED)].source
    async with httpx.AsyncClient() as client:
        announcer = Announcer(Relay(store, SinkPublisher(client, sink.url), source=source), LiveFeed(valkey))

        async def make(runtime: Any) -> World:
            async with store.transaction() as tables:
                user = await tables.users.insert(
                    email="ann@example.org", name=None, image_url=None, max_concurrent_bots=9
                )
            assert user is not None
            return World(store, runtime, runtime.open(), announcer, user.id)

        yield make


@pytest.fixture
async def world(make_world: MakeWorld, process_runtime: Any) -> World:
    """Bots as processes: the quickest."""
    return await make_world(process_runtime)


@pytest.fixture
async def any_world(make_world: MakeWorld, runtime: Any) -> World:
    """Bots on everything that runs bots, in turn."""
    return await make_world(runtime)


async def test_a_bot_that_died_is_lost_told_and_cleared_away(any_world: World, sink: Any) -> None:
    """The exit is the evidence; in the end there is no process, container, Job or Secret more than before."""
    world = any_world
    before = world.runtime.count()
    await world.request()
    await world.launch("raise SystemExit(3)")
    await world.exited()

    await world.tick()
    kept = world.runtime.count()
    await world.tick(after_s=301)

    assert await world.outcome() == ("failed", "bot_lost")
    (failed,) = sink.of_type("vexa.bot.failed.v1")
    assert failed.data["evidence"].startswith("the bot's process ended with code 3")
    assert kept > before
    assert world.runtime.count() == before


async def test_a_bot_that_does_not_fetch_its_order_is_stopped_then_killed(any_world: World) -> None:
    """A user's stop holds even for a bot that hears nothing; the session then completed as the user wished."""
    world = any_world
    await world.request()
    reference = await world.launch(IGNORE)
    await world.order_stop()
    async with asyncio.timeout(DEADLINE_S):
        while "Running" not in repr(await world.launcher.observe(reference)):
            await asyncio.sleep(0.05)

    await world.tick(after_s=5)
    early = await world.launcher.observe(reference)
    await world.tick(after_s=31)
    await world.exited()
    await world.tick(after_s=32)

    assert "Running" in repr(early)
    assert await world.outcome() == ("completed", "stopped_by_user")


async def test_a_bot_whose_session_has_ended_is_ended(any_world: World) -> None:
    """A row that says the end, and a process that says otherwise: the row wins, after a grace."""
    world = any_world
    await world.request()
    await world.launch()
    await world.enter(BotStatus.FAILED)

    await world.tick(after_s=11)
    await world.tick(after_s=31)
    await world.exited()
    await world.tick(after_s=400)

    assert world.runtime.count() == 0


async def test_an_orphan_is_found_by_another_instance_and_ended(any_world: World) -> None:
    """A bot whose session nobody knows, such as one that was erased, does not listen on."""
    world = any_world
    await world.launch(uid="erased", is_noted=False)
    another = world.runtime.open()

    await world.tick(after_s=5, launcher=another)
    spared = world.runtime.count()
    await world.tick(after_s=31, launcher=another)
    await world.exited("erased")
    await world.tick(after_s=400, launcher=another)

    assert spared > 0
    assert world.runtime.count() == 0


async def test_silence_alone_ends_nothing(world: World) -> None:
    """A bot that runs may be cut off from us for a day."""
    await world.request()
    await world.launch()
    await world.enter(BotStatus.JOINING, BotStatus.ACTIVE)

    await world.tick(after_s=86_400)

    assert await world.outcome() == ("active", None)
    assert world.runtime.count() == 2, "the process and its file"


async def test_a_launcher_that_knows_nothing_ends_nothing_at_first(world: World) -> None:
    """Only together with silence past the time at which a bot gives up by itself is it evidence."""
    await world.request()
    reference = await world.launch()
    await world.launcher.remove(reference)
    async with world.store.reading() as tables:
        await tables.sessions.beat("session")

    await world.tick(after_s=1_700)
    early = await world.outcome()
    await world.tick(after_s=1_900)

    assert early == ("requested", None)
    assert await world.outcome() == ("failed", "bot_lost")


async def test_a_request_whose_instance_vanished_is_launched_on_the_tick(any_world: World) -> None:
    """An instance that was killed between the commit and the launch costs a moment, not the meeting."""
    world = any_world
    await world.request()

    await asyncio.gather(*(world.tick() for _ in range(3)))

    session = await world.session()
    assert session.launcher_ref is not None
    assert [bot.reference for bot in await world.launcher.found()] == [session.launcher_ref]
    assert await world.outcome() == ("requested", None)


async def test_a_launch_that_is_under_way_is_left_alone(world: World) -> None:
    """Whoever claimed it has its time."""
    await world.request(lease_s=60.0)

    await world.tick()

    assert (await world.session()).launcher_ref is None
    assert world.runtime.count() == 0


async def test_a_launch_that_broke_off_is_carried_on_on_the_tick(any_world: World) -> None:
    """However far the instance came that vanished, there is one bot in the end."""
    world = any_world
    await world.request()
    await world.runtime.break_off(NewBot(session_uid="session", meeting_id=1, env={"SCRIPT": SLEEP}))

    await world.tick()

    (bot,) = await world.launcher.found()
    assert (await world.session()).launcher_ref == bot.reference
    assert await world.outcome() == ("requested", None)


async def test_a_bot_whose_launch_was_not_noted_is_taken_up(world: World) -> None:
    """Once it has reported by itself, it is known to be complete."""
    await world.request()
    reference = await world.launch(is_noted=False)
    await world.enter(BotStatus.JOINING)

    await world.tick()

    assert (await world.session()).launcher_ref == reference
    assert await world.outcome() == ("joining", None)


async def test_a_launcher_that_cannot_loses_the_launch_in_time(world: World, sink: Any) -> None:
    """The user reads why; the second request of that round is not held up by the first one's failure."""
    broken = ProcessLauncher(Path("/dev/null/bots"), ["true"])
    await world.request()
    await world.request("other")

    await world.tick(after_s=90, launcher=broken)
    early = [await world.outcome(), await world.outcome("other")]
    await world.tick(after_s=101, launcher=broken)

    assert early == [("requested", None)] * 2
    assert [await world.outcome(), await world.outcome("other")] == [("failed", "launch_lost")] * 2
    assert "Not a directory" in sink.of_type("vexa.bot.failed.v1")[0].data["evidence"]


async def test_a_stop_before_the_launch_ends_the_meeting(world: World) -> None:
    """Nobody launches a bot that is not wanted any more."""
    await world.request()
    await world.order_stop()

    await world.tick()

    assert await world.outcome() == ("completed", "stopped_by_user")
    assert world.runtime.count() == 0


async def test_a_lost_bot_ended_when_it_last_showed_life(any_world: World, sink: Any) -> None:
    """The tick may come a minute later; nobody attended that minute."""
    world = any_world
    await world.request()
    await world.launch("raise SystemExit(3)")
    await world.enter(BotStatus.JOINING, BotStatus.ACTIVE)
    async with world.store.reading() as tables:
        await tables.sessions.beat("session")
    await world.exited()
    known_at = datetime.now(UTC)

    await world.tick(after_s=60)

    session, (failed,) = await world.session(), sink.of_type("vexa.bot.failed.v1")
    assert session.heartbeat_at is not None
    assert session.ended_at is not None
    assert session.heartbeat_at <= session.ended_at <= known_at
    assert datetime.fromisoformat(failed.data["at"]) == session.ended_at
    assert session.end_noted_at is not None
    assert session.end_noted_at >= known_at, "text that is on its way is waited for from here on"


async def test_a_job_whose_pod_never_starts_fails_with_what_it_waits_for(
    make_world: MakeWorld, kubernetes_runtime: Any, cluster: Any
) -> None:
    """An image that cannot be pulled is a reason that an administrator understands; nothing of it stays."""
    world = await make_world(kubernetes_runtime)
    world.launcher = launcher = cluster.launcher(image="registry.invalid/never-built:1")
    await world.request()
    await world.launch()

    await world.tick(after_s=90)
    early = await world.outcome()
    await world.tick(after_s=101)
    await world.tick(after_s=500)
    async with world.store.reading() as tables:
        meetings = await tables.meetings.of_user(world.user_id)

    assert early == ("requested", None)
    assert (meetings[0].status.value, meetings[0].reason) == ("failed", "launch_failed")
    assert world.runtime.count() == 0
    await launcher.aclose()


@pytest.mark.parametrize(
    ("captured_s", "expected"), [(0.0, ("completed", "stopped_by_user")), (5.0, ("failed", "bot_lost"))]
)
async def test_a_told_bot_that_exits_completes_unless_audio_is_missing(
    world: World, captured_s: float, expected: tuple[str, str]
) -> None:
    """A tail that was captured and not stored must have a reason in the ledger."""
    await world.request()
    await world.launch("raise SystemExit(1)")
    async with world.store.transaction() as tables:
        await tables.streams.add("session.0", "session", kind=StreamKind.PARTICIPANT, start_s=0.0)
        report = StreamReport(stream_uid="session.0", captured_until_s=captured_s)
        await tables.streams.report_captured("session", (report,))
    await world.order_stop()
    await world.exited()

    await world.tick()

    assert await world.outcome() == expected


async def test_a_bot_that_said_why_it_leaves_keeps_its_reason(world: World) -> None:
    """Only its last word got lost, and its code is good."""
    await world.request()
    await world.launch("raise SystemExit(0)")
    async with world.store.transaction() as tables:
        session = await tables.sessions.lock("session")
        assert session is not None
        await enter(tables, session, BotStatus.STOPPING, at=datetime.now(UTC), reason="left_alone")
    await world.exited()

    await world.tick()

    assert await world.outcome() == ("completed", "left_alone")


async def test_many_sweeps_at_once_tell_an_end_once(world: World, sink: Any) -> None:
    """Several instances get the tick."""
    await world.request()
    await world.launch("raise SystemExit(3)")
    await world.exited()

    await asyncio.gather(*(world.tick() for _ in range(4)))

    assert len(sink.of_type("vexa.bot.failed.v1")) == 1


async def test_a_bot_of_whom_the_launcher_cannot_tell_holds_up_no_other(world: World) -> None:
    """An engine may hang over one container and answer for all others."""

    class Stuck:
        """Answers for every bot but one."""

        async def found(self) -> list[Any]:
            return await world.launcher.found()

        async def observe(self, reference: str) -> Any:
            if reference == world.references["a"]:
                raise Unavailable("the Docker engine does not answer")
            return await world.launcher.observe(reference)

    for uid in ("a", "b"):
        await world.request(uid)
        await world.launch("raise SystemExit(3)", uid)
        await world.exited(uid)

    await world.tick(launcher=Stuck())  # type: ignore[arg-type]

    assert (await world.outcome("a"), await world.outcome("b")) == (("requested", None), ("failed", "bot_lost"))


async def test_a_launcher_that_is_away_ends_nothing_and_holds_up_no_event(world: World, sink: Any) -> None:
    """What cannot be asked proves nothing."""

    class Away:
        """Nobody answers."""

        async def found(self) -> list[Any]:
            raise Unavailable("the Docker engine does not answer")

    await world.request()
    await world.launch()
    await world.enter(BotStatus.JOINING)

    await world.tick(after_s=86_400, launcher=Away())  # type: ignore[arg-type]

    assert await world.outcome() == ("joining", None)
    assert len(sink.of_type("vexa.bot.joining.v1")) == 1

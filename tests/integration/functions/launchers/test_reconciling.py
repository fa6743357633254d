"""Rows, bots and evidence, on real Postgres and with whatever runs bots."""

import asyncio
from datetime import UTC, datetime
from typing import Any

from tests.integration.functions.launchers.world import IGNORE, World
from tests.waiting import DEADLINE_S

from vexa_events.errors import Unavailable
from vexa_events.identity import BotStatus
from vexa_functions.bots.lifecycle import enter


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

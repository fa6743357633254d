"""Bots that are launched on the tick, or cannot be, on real Postgres and with whatever runs bots."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.integration.functions.launchers.world import SLEEP, MakeWorld, World

from vexa_events.identity import BotStatus
from vexa_functions.bots.launchers.launcher import NewBot
from vexa_functions.bots.launchers.process import ProcessLauncher


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


@pytest.mark.parametrize(
    ("trouble", "why"),
    [
        ({"image": "registry.invalid/never-built:1"}, "ErrImagePull: told by the node"),
        ({"refuses_pods": "exceeded quota: vexa, requested: pods=1"}, "exceeded quota: vexa, requested: pods=1"),
    ],
    ids=["image", "quota"],
)
async def test_a_job_whose_pod_never_starts_fails_with_what_it_waits_for(
    make_world: MakeWorld, kubernetes_runtime: Any, cluster: Any, trouble: dict[str, str], why: str
) -> None:
    """The user reads a reason that an administrator understands; nothing of it stays."""
    world = await make_world(kubernetes_runtime)
    cluster.refuses_pods = trouble.get("refuses_pods")
    world.launcher = launcher = cluster.launcher(image=trouble.get("image", "vexa-bot"))
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
    assert meetings[0].evidence == why
    assert world.runtime.count() == 0
    await launcher.aclose()

"""Bots that end without a word, on real Postgres and with whatever runs bots."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.integration.functions.launchers.world import LIMITS, World

from vexa_events.callbacks import StreamReport
from vexa_events.identity import BotStatus, StreamKind
from vexa_functions.collector.coverage import coverage


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


@pytest.mark.parametrize("is_known", [False, True], ids=["no stream", "a stream of which nothing was told"])
async def test_what_a_bot_heard_that_was_killed_before_it_could_tell_is_shown_as_lost(
    world: World, is_known: bool
) -> None:
    """From its last word until the next one was due; whose voice it was is known only of a stream that had an epoch."""
    await world.request()
    await world.launch()
    zero_at = await world.store.now() - timedelta(seconds=10)
    async with world.store.reading() as tables:
        await tables.sessions.start_clock("session", zero_at)
    await world.enter(BotStatus.JOINING, BotStatus.ACTIVE)
    async with world.store.reading() as tables:
        await tables.sessions.beat("session")
        if is_known:
            await tables.streams.add("session.1", "session", kind=StreamKind.PARTICIPANT, start_s=10.5)

    await world.launcher.kill(world.references["session"])
    await world.exited()
    await world.tick(after_s=60)
    async with world.store.reading() as tables:
        await tables.sessions.set_finalized("session")
        meeting_id = (await world.session()).meeting_id
        ledger = coverage(await tables.transcripts.streams(meeting_id), await tables.transcripts.spans(meeting_id))

    (gap,) = ledger["missing"]
    assert await world.outcome() == ("failed", "bot_lost")
    assert (gap["stream_uid"], gap["reason"]) == ("session.1" if is_known else "session.lost", "bot_lost")
    assert gap["start"] == (10.5 if is_known else pytest.approx(gap["end"] - LIMITS.heartbeat.total_seconds()))
    assert gap["start"] < gap["end"]
    assert ledger["missing_s"] == ledger["captured_s"]

"""What a bot that attends a recording is told while it does: another language or task, another token."""

import signal

from tests.integration.bot.bot_process import TOKEN, BotProcess
from tests.integration.bot.conftest import BotsTwin, PoolTwin
from tests.waiting import eventually

from vexa_events.callbacks import Command, CommandKind
from vexa_events.identity import Task
from vexa_events.stream import server_error

LEAVE = Command(kind=CommandKind.LEAVE)


async def test_a_language_that_no_worker_speaks_fails_the_session_with_the_workers_words(
    bot: BotProcess, pool: PoolTwin, bots: BotsTwin
) -> None:
    """Instead of asking for ever."""
    pool.answers.extend([server_error("session.1", "this model knows English only")] * 50)
    await bot.start("long", language="de")

    assert await bot.exit_code() == 1
    assert bots.path == ["joining", "active", "stopping", "failed"]
    assert bots.statuses[-1].reason == "transcription_refused"
    assert "English only" in (bots.statuses[-1].evidence or "")


async def test_a_new_language_takes_effect_in_mid_meeting(bot: BotProcess, pool: PoolTwin, bots: BotsTwin) -> None:
    """Once, however often the order is repeated, and no sample is lost over it."""
    await bot.start("long", language="en")
    await eventually(lambda: bool(pool.connections))

    order = Command(kind=CommandKind.RECONFIGURE, language="fr", task=Task.TRANSLATE)
    bots.commands = (order,)
    await eventually(lambda: len(pool.connections) == 2)
    bots.commands = (order, LEAVE)

    assert await bot.exit_code() == 0, bot.output
    assert [(each.hello.language, each.hello.task) for each in pool.of("session.1")] == [
        ("en", Task.TRANSCRIBE),
        ("fr", Task.TRANSLATE),
    ]
    assert pool.stored_ms["session.1"] == _captured_ms(bots)


async def test_an_order_without_a_language_goes_back_to_detecting_it(
    bot: BotProcess, pool: PoolTwin, bots: BotsTwin
) -> None:
    """The order tells all that is in force from then on."""
    await bot.start("long", language="en")
    await eventually(lambda: bool(pool.connections))

    bots.commands = (Command(kind=CommandKind.RECONFIGURE, task=Task.TRANSCRIBE),)
    await eventually(lambda: len(pool.connections) == 2)
    bots.commands = (LEAVE,)

    assert await bot.exit_code() == 0, bot.output
    assert [each.hello.language for each in pool.of("session.1")] == ["en", None]
    assert pool.stored_ms["session.1"] == _captured_ms(bots)


async def test_a_renewed_token_is_shown_from_then_on_to_everybody(
    bot: BotProcess, pool: PoolTwin, bots: BotsTwin
) -> None:
    """To the bots function and to the worker of the next epoch; the first one may have expired by then."""
    await bot.start("long")
    await eventually(lambda: bool(pool.connections and bots.attributions))
    bots.token = "another.session.token"
    await eventually(lambda: f"Bearer {bots.token}" in bots.authorizations)
    bots.authorizations.clear()

    pool.cut()
    await eventually(lambda: len(pool.connections) == 2)
    bots.commands = (LEAVE,)

    assert await bot.exit_code() == 0, bot.output
    assert [each.binding.token for each in pool.of("session.1")] == [TOKEN, bots.token]
    assert bots.authorizations == {f"Bearer {bots.token}"}
    assert bots.token not in bot.output


async def test_a_refused_language_costs_nothing_in_any_stream(bot: BotProcess, pool: PoolTwin, bots: BotsTwin) -> None:
    """The meeting is transcribed to its end as it was before the order."""
    pool.languages = {"en"}
    await bot.start("long", language="en")
    await eventually(lambda: bool(pool.connections))

    bots.commands = (Command(kind=CommandKind.RECONFIGURE, language="de", task=Task.TRANSCRIBE),)
    await eventually(lambda: pool.refused and len(pool.connections) == 2)
    bots.commands = (LEAVE,)

    assert await bot.exit_code() == 0, bot.output
    assert bots.path[-1] == "completed"
    assert pool.refused
    assert (bots.statuses[-1].evidence or "").startswith("change refused: "), "the user learns of it"
    assert "de" in (bots.statuses[-1].evidence or "")
    assert pool.stored_ms["session.1"] == _captured_ms(bots)


async def test_the_last_status_tells_a_refusal_that_left_audio_unstored(
    bot: BotProcess, pool: PoolTwin, bots: BotsTwin
) -> None:
    """Whoever reads the ledger finds the worker's own words."""
    pool.stores_until_ms = 0
    await bot.start("long", language="en")
    await eventually(lambda: pool.connections and pool.connections[0].position_ms >= 400)
    pool.languages = {"fr"}
    pool.cut()
    await eventually(lambda: pool.refused)
    bots.commands = (LEAVE,)
    await eventually(lambda: "stopping" in bots.path)

    bot.send(signal.SIGTERM)

    assert await bot.exit_code() == 1, bot.output
    assert bots.statuses[-1].reason == "audio_not_stored"
    assert "no ear for en" in (bots.statuses[-1].evidence or "")


def _captured_ms(bots: BotsTwin) -> int:
    """How far the last status told that the only stream was captured."""
    (final,) = bots.statuses[-1].streams
    return round(final.captured_until_s * 1_000)

"""The whole bot as a process: `python -m vexa_bot` between a pool and a bots function."""

import json
import re
import signal
import time
import wave
from pathlib import Path

import pytest
from tests.integration.bot.bot_process import TOKEN, BotProcess, write_track
from tests.integration.bot.conftest import BotsTwin, PoolTwin
from tests.waiting import eventually

from vexa_events.callbacks import Command, CommandKind
from vexa_events.identity import StreamKind

LEAVE = Command(kind=CommandKind.LEAVE)
ASKED = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7"


async def test_a_recording_is_attended_to_its_end_and_every_sample_is_stored(
    bot: BotProcess, pool: PoolTwin, bots: BotsTwin, recordings: Path
) -> None:
    """States, speakers, final figures and samples are what they should be."""
    began_s = time.monotonic()
    await bot.start("short")

    assert await bot.exit_code() == 0, bot.output
    assert time.monotonic() - began_s >= 1.5, "a replay takes as long as the meeting did"
    assert bots.path == ["joining", "active", "stopping", "completed"]
    assert bots.statuses[-1].reason == "meeting_ended"
    assert {(said.stream_uid, said.speaker, said.revision) for said in bots.attributions} == {
        ("session.1", "Ann", 1),
        ("session.2", "Bob", 1),
    }
    assert {(opened.stream_uid, opened.kind, opened.start_s) for opened in bots.opened} == {
        ("session.1", StreamKind.PARTICIPANT, 0.0),
        ("session.2", StreamKind.PARTICIPANT, 0.0),
    }
    final = {report.stream_uid: report.captured_until_s for report in bots.statuses[-1].streams}
    assert final == {"session.1": 1.5, "session.2": 1.0}
    for uid, name in (("session.1", "ann"), ("session.2", "bob")):
        (connection,) = pool.of(uid)
        with wave.open(str(recordings / "short" / f"track-{name}.wav")) as file:
            assert connection.samples == file.readframes(file.getnframes())
        assert connection.binding.speaker == name.capitalize()
    assert bots.authorizations == {f"Bearer {TOKEN}"}


async def test_who_was_shown_in_a_mixed_recording_is_told_before_the_end_whatever_the_bots_function_does(
    bot: BotProcess, bots: BotsTwin, recordings: Path
) -> None:
    """Hints that it did not take are told again, in their order, and the last status comes behind them."""
    (recordings / "mix").mkdir()
    write_track(recordings / "mix" / "mixed.wav", seconds=2.0, tone_hz=440)
    shown = [("Joe", 0.2, 0.6), ("Nina", 0.5, 0.9), ("Joe", 1.2, 2.0)]
    hints = [{"speaker": name, "from_s": from_s, "until_s": until_s} for name, from_s, until_s in shown]
    (recordings / "mix" / "hints.json").write_text(json.dumps(hints))
    await bot.start("mix")
    await eventually(lambda: "active" in bots.path)
    bots.answers.extend([503] * 12)

    assert await bot.exit_code() == 0, bot.output
    assert bots.shown == shown
    assert [hint.seq for told in bots.hints for hint in told.hints] == [0, 1, 2]
    assert [said.speaker for said in bots.attributions] == ["Speaker A"]
    assert (bots.path[-1], bots.last) == ("completed", "statuses")


async def test_what_a_bot_does_is_part_of_the_trace_in_which_it_was_asked_for(
    bot: BotProcess, bots: BotsTwin, pool: PoolTwin, recordings: Path
) -> None:
    """What it tells every second or two is not recorded, so that the trace can be read."""
    (recordings / "mix").mkdir()
    write_track(recordings / "mix" / "mixed.wav", seconds=0.5, tone_hz=440)
    (recordings / "mix" / "hints.json").write_text('[{"speaker": "Joe", "from_s": 0.1, "until_s": 0.4}]')
    await bot.start("mix", traceparent=f"{ASKED}-01", tracestate="theirs=1")

    assert await bot.exit_code() == 0, bot.output
    recorded, unrecorded = {f"{ASKED}-01"}, {f"{ASKED}-00"}
    assert bots.traceparents == {
        "statuses": recorded,
        "epochs": recorded,
        "attributions": recorded,
        "hints": unrecorded,
        "heartbeats": unrecorded,
    }
    (connection,) = pool.of("session.1")
    assert (connection.binding.traceparent, connection.binding.tracestate) == (f"{ASKED}-01", "theirs=1")
    assert all(json.loads(line)["trace_id"] in ASKED for line in bot.output.splitlines())


async def test_heartbeats_tell_how_far_capture_is(bot: BotProcess, bots: BotsTwin) -> None:
    """They begin before there is a stream and rise with the meeting, whose last status tells the end."""
    await bot.start("long")
    await eventually(lambda: len(set(_reached(bots))) >= 3)
    bots.commands = (LEAVE,)

    assert await bot.exit_code() == 0, bot.output
    assert not bots.heartbeats[0].streams
    assert _reached(bots) == sorted(_reached(bots))
    assert bots.statuses[-1].streams[0].captured_until_s >= _reached(bots)[-1]


async def test_told_to_leave_the_bot_stops_capturing_and_stays_until_all_is_stored(
    bot: BotProcess, pool: PoolTwin, bots: BotsTwin
) -> None:
    """What was heard up to the order is not given up for it."""
    pool.stores_until_ms = 0
    await bot.start("long")
    await eventually(lambda: pool.connections and pool.connections[0].position_ms >= 600)

    bots.commands = (Command(kind=CommandKind.LEAVE, reason="stopped_by_user"),)
    await eventually(lambda: pool.connections[0].has_ended)
    assert bots.path == ["joining", "active", "stopping"]
    await pool.acknowledge(pool.connections[0], pool.connections[0].position_ms)

    assert await bot.exit_code() == 0, bot.output
    assert (bots.path[-1], bots.statuses[-1].reason) == ("completed", "stopped_by_user")
    (final,) = bots.statuses[-1].streams
    assert final.captured_until_s * 1_000 == pool.connections[0].position_ms < 20_000


async def test_a_connection_lost_while_waiting_for_storage_is_taken_up_again(
    bot: BotProcess, pool: PoolTwin, bots: BotsTwin
) -> None:
    """Leaving early because of a restarting worker would lose the end of the meeting."""
    pool.stores_until_ms = 0
    await bot.start("short")
    await eventually(lambda: len(pool.connections) == 2 and all(each.has_ended for each in pool.connections))

    pool.stores_until_ms = 99_000
    pool.cut()

    assert await bot.exit_code() == 0, bot.output
    assert pool.stored_ms == {"session.1": 1_500, "session.2": 1_000}
    assert {epoch for _, epoch in bots.epochs} == {1, 2}
    assert bots.statuses[-1].evidence is None


async def test_sigterm_ends_the_session_within_seconds_and_says_what_is_not_stored(
    bot: BotProcess, pool: PoolTwin, bots: BotsTwin
) -> None:
    """A supervisor's stop must not hang on a database that is away."""
    pool.stores_until_ms = 0
    await bot.start("long")
    await eventually(lambda: pool.connections and pool.connections[0].position_ms >= 400)

    bot.send(signal.SIGTERM)

    assert await bot.exit_code() == 1, bot.output
    assert bots.path == ["joining", "active", "stopping", "failed"]
    assert bots.statuses[-1].reason == "audio_not_stored"
    assert re.fullmatch(r"terminated; \d+\.\d{3} s of audio were not stored", bots.statuses[-1].evidence or "")


async def test_sigterm_ends_a_bot_whose_bots_function_is_away(bot: BotProcess, bots: BotsTwin, pool: PoolTwin) -> None:
    """Reports that nobody takes do not hold it up either."""
    bot.env["BOT_TERMINATE_LIMIT_S"] = "1"
    await bot.start("long")
    await eventually(lambda: pool.connections)
    bots.answers.extend([503] * 10_000)

    bot.send(signal.SIGTERM)
    await bot.exit_code()

    assert "could not be reported" in bot.output


async def test_a_second_stop_cuts_the_wait_for_storage_short(bot: BotProcess, bots: BotsTwin, pool: PoolTwin) -> None:
    """The first reason is the one that is reported beside the loss."""
    pool.stores_until_ms = 0
    await bot.start("long")
    await eventually(lambda: pool.connections and pool.connections[0].position_ms >= 400)
    bots.commands = (LEAVE,)
    await eventually(lambda: pool.connections[0].has_ended)

    bot.send(signal.SIGTERM)

    assert await bot.exit_code() == 1, bot.output
    assert bots.statuses[-1].reason == "audio_not_stored"
    assert (bots.statuses[-1].evidence or "").startswith("stopped_by_user; ")


@pytest.mark.parametrize(
    ("platform", "meeting", "reason"),
    [
        ("replay", "nowhere", "recording_not_found"),
        ("replay", "../short", "recording_not_found"),
        ("replay", "empty", "recording_without_tracks"),
        ("replay", "noise", "recording_undecodable"),
        ("webex", "123", "platform_not_supported"),
    ],
)
async def test_what_cannot_be_attended_fails_with_its_reason(
    bot: BotProcess, bots: BotsTwin, recordings: Path, platform: str, meeting: str, reason: str
) -> None:
    """It never was active, and the evidence can be shown."""
    (recordings / "empty").mkdir()
    (recordings / "noise").mkdir()
    (recordings / "noise" / "track-eve.flac").write_bytes(b"noise" * 1_000)

    await bot.start(meeting, platform=platform)

    assert await bot.exit_code() == 1
    assert bots.path == ["joining", "failed"]
    assert bots.statuses[-1].reason == reason
    assert bots.statuses[-1].evidence


@pytest.mark.parametrize("status", [401, 410])
async def test_a_rejected_session_ends_the_process(bot: BotProcess, bots: BotsTwin, status: int) -> None:
    """There is nobody left to work for."""
    bots.answers.extend([status] * 10)
    await bot.start("long")

    assert await bot.exit_code() == 1
    assert "session given up" in bot.output


async def test_every_line_of_output_is_json_that_names_the_session_and_never_the_token(bot: BotProcess) -> None:
    """Logs of many bots are read together, by many eyes."""
    await bot.start("short")
    await bot.exit_code()

    lines = [json.loads(line) for line in bot.output.splitlines()]
    assert {line["session_uid"] for line in lines} == {"session"}
    assert {"status entered", "epoch begun", "stream stored", "session over"} <= {line["message"] for line in lines}
    assert TOKEN not in bot.output


async def test_wrong_settings_stop_the_process_naming_all_of_them(bot: BotProcess) -> None:
    """The launcher's operator sees them at once."""
    del bot.env["BOT_MANAGER_URL"]
    bot.env["STREAM_URL"] = "nonsense"
    await bot.start("short")

    assert await bot.exit_code() == 1
    assert "BOT_MANAGER_URL" in bot.output
    assert "STREAM_URL" in bot.output


def _reached(bots: BotsTwin) -> list[float]:
    """How far each heartbeat told that the only stream was captured."""
    return [report.captured_until_s for beat in bots.heartbeats for report in beat.streams]

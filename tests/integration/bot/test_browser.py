"""The whole bot as a process in a real Chromium, on hand-made pages that stand in for the platforms' own."""

import os
import shutil
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from tests.integration.bot.bot_process import BotProcess
from tests.integration.bot.conftest import BotsTwin, PoolTwin
from tests.integration.bot.stand_ins import Pages, served
from tests.waiting import eventually

from vexa_events.callbacks import Command, CommandKind
from vexa_events.identity import MissingReason, StreamKind
from vexa_events.launch import TOKEN_VARIABLE, AutomaticLeave

CHROMIUM = Path("/usr/bin/chromium")
IDS = {"google_meet": "abc-defg-hij", "teams": "1234567890", "zoom": "123456789", "jitsi": "standup"}
STARVED = {MissingReason.CAPTURE_SILENT}
"""What a browser that gets too little of the machine may be told to have missed."""

pytestmark = pytest.mark.slow


@pytest.fixture
def pages() -> Iterator[Pages]:
    """Every stand-in."""
    with served() as pages:
        yield pages


@pytest.fixture(autouse=True)
def chromium() -> None:
    """Without it there is nothing to test, which CI must not overlook."""
    if not CHROMIUM.exists():
        told = f"missing: {CHROMIUM}; tests/acceptance/janus/setup installs it"
        pytest.fail(told) if os.environ.get("CI") == "true" else pytest.skip(told)


@pytest.fixture
async def bot(pool: PoolTwin, bots: BotsTwin, tmp_path: Path) -> AsyncIterator[BotProcess]:
    """A bot that has not been started; it may use the loopback for media."""
    bot = BotProcess(
        {
            TOKEN_VARIABLE: "header.payload.signature",
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "BOT_MANAGER_URL": bots.url,
            "STREAM_URL": pool.url,
            "BOT_HEARTBEAT_S": "0.1",
            "BOT_TERMINATE_LIMIT_S": "30",
            "CHROMIUM_FLAGS": "--allow-loopback-in-peer-connection",
        }
    )
    yield bot
    await bot.aclose()


async def attend(bot: BotProcess, platform: str, url: str, **order: Any) -> None:
    await bot.start(IDS[platform], platform=platform, meeting_url=url, **order)


def _pitch_hz(samples: bytes) -> float:
    """Find the strongest frequency of the loudest second."""
    signal_ = np.frombuffer(samples, np.int16).astype(np.float64)
    middle = signal_[len(signal_) // 2 - 8_000 : len(signal_) // 2 + 8_000]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    return float(np.argmax(spectrum)) * 16_000 / len(middle)


@pytest.mark.parametrize(
    ("platform", "kind", "expected"),
    [
        ("google_meet", StreamKind.MIXED, {"Speaker A": 300}),
        ("teams", StreamKind.MIXED, {"Speaker A": 300}),
        ("zoom", StreamKind.MIXED, {"Speaker A": 300}),
        ("jitsi", StreamKind.PARTICIPANT, {"Joe": 300, "Maya": 500}),
    ],
)
async def test_a_stand_in_is_joined_heard_and_left_when_it_ends(
    platform: str,
    kind: StreamKind,
    expected: dict[str, int],
    bot: BotProcess,
    pool: PoolTwin,
    bots: BotsTwin,
    pages: Pages,
) -> None:
    """Through lobby and admission; each tone arrives under the name that is known for it."""
    await attend(bot, platform, pages.url(platform), bot_name="Ann", passcode="right")
    await eventually(lambda: "awaiting_admission" in bots.path)
    pages.host.admit()
    await eventually(lambda: len(pool.connections) == len(expected) and _shortest_ms(pool) >= 3_000)
    pages.host.end()

    assert await bot.exit_code() == 0, bot.output
    assert bots.path == ["joining", "awaiting_admission", "active", "stopping", "completed"]
    assert bots.statuses[-1].reason == "meeting_ended"
    assert pages.told[0] == "Ann"
    assert {opened.kind for opened in bots.opened} == {kind}
    heard = {said.speaker: _pitch_hz(pool.of(said.stream_uid)[0].samples) for said in bots.attributions}
    assert heard == pytest.approx(expected, abs=10)
    for stream in bots.statuses[-1].streams:
        (connection,) = pool.of(stream.stream_uid)
        assert {gap.reason for gap in connection.gaps} <= STARVED
        assert connection.position_ms == round(stream.captured_until_s * 1_000)


async def test_who_is_shown_as_speaking_on_a_page_with_mixed_sound_is_told(
    bot: BotProcess, bots: BotsTwin, pages: Pages
) -> None:
    """When it began and when it ended on the session's clock, with what a page is late by; the rest is nobody's."""
    pages.host.admit()
    await attend(bot, "zoom", pages.url("zoom"), passcode="right")
    await eventually(lambda: bool(bots.shown))
    pages.host.end()

    assert await bot.exit_code() == 0, bot.output
    ((name, from_s, until_s),) = bots.shown
    (shone_s,) = [float(told.removeprefix("shone/")) / 1_000 for told in pages.told if told.startswith("shone/")]
    assert name == "Joe"
    assert from_s >= 0.0
    assert until_s - from_s == pytest.approx(shone_s, abs=1.0)


async def test_a_stop_in_the_lobby_withdraws(bot: BotProcess, bots: BotsTwin, pages: Pages) -> None:
    """By the page's own button, so that nobody lets in who is gone."""
    await attend(bot, "google_meet", pages.url("google_meet"))
    await eventually(lambda: "awaiting_admission" in bots.path)

    bots.commands = (Command(kind=CommandKind.LEAVE),)

    assert await bot.exit_code() == 0, bot.output
    assert bots.path == ["joining", "awaiting_admission", "stopping", "completed"]
    assert pages.told[-1] == "left"


async def test_a_lobby_where_nobody_comes_is_left_in_time(bot: BotProcess, bots: BotsTwin, pages: Pages) -> None:
    """After the order's limit."""
    limits = AutomaticLeave(waiting_room_s=10.0)
    await attend(bot, "google_meet", pages.url("google_meet"), automatic_leave=limits)

    assert await bot.exit_code() == 1
    assert bots.path == ["joining", "awaiting_admission", "failed"]
    assert bots.statuses[-1].reason == "not_admitted_in_time"


async def test_a_bot_wall_is_told_and_not_climbed(bot: BotProcess, bots: BotsTwin, pages: Pages) -> None:
    """The user learns what stands in the way."""
    await attend(bot, "google_meet", pages.url("google_meet", "wall=1"))

    assert await bot.exit_code() == 1
    assert (bots.path, bots.statuses[-1].reason) == (["joining", "failed"], "blocked")
    assert "captcha" in (bots.statuses[-1].evidence or "")


async def test_a_wrong_passcode_is_told(bot: BotProcess, bots: BotsTwin, pages: Pages) -> None:
    """As what it is, since the user can mend it."""
    await attend(bot, "zoom", pages.url("zoom"), passcode="wrong")

    assert await bot.exit_code() == 1
    assert bots.statuses[-1].reason == "wrong_passcode"


async def test_a_page_that_never_loads_is_tried_until_the_limit(bot: BotProcess, bots: BotsTwin, pages: Pages) -> None:
    """Then the user reads which page, and what became of it."""
    bot.env["BOT_JOIN_LIMIT_S"] = "5"
    await attend(bot, "google_meet", "http://127.0.0.1:9/")

    assert await bot.exit_code() == 1
    assert (bots.path, bots.statuses[-1].reason) == (["joining", "failed"], "page_unreachable")
    assert "127.0.0.1:9" in (bots.statuses[-1].evidence or "")


@pytest.mark.parametrize(("program", "reason"), [("nowhere", "browser_missing"), ("broken", "browser_failed")])
async def test_a_browser_that_does_not_start_is_told(
    program: str, reason: str, bot: BotProcess, bots: BotsTwin, pages: Pages, tmp_path: Path
) -> None:
    """And no process is left behind."""
    shutil.copy("/usr/bin/false", tmp_path / "broken")
    bot.env["CHROMIUM_PATH"] = str(tmp_path / program)
    await attend(bot, "google_meet", pages.url("google_meet"))

    assert await bot.exit_code() == 1
    assert (bots.path, bots.statuses[-1].reason) == (["joining", "failed"], reason)


async def test_a_driver_of_the_browser_that_does_not_start_is_told(
    bot: BotProcess, bots: BotsTwin, pages: Pages
) -> None:
    """As the failure of the browser that it drives."""
    bot.env["PLAYWRIGHT_NODEJS_PATH"] = "/nowhere/node"
    await attend(bot, "google_meet", pages.url("google_meet"))

    assert await bot.exit_code() == 1
    assert (bots.path, bots.statuses[-1].reason) == (["joining", "failed"], "browser_failed")
    assert "/nowhere/node" in (bots.statuses[-1].evidence or "")


async def test_a_crashed_page_is_replaced_once_and_its_streams_go_on_with_a_hole(
    bot: BotProcess, pool: PoolTwin, bots: BotsTwin, pages: Pages
) -> None:
    """In the same session, each under the same name; what was missed says why."""
    await attend(bot, "jitsi", pages.url("jitsi"))
    await eventually(lambda: "awaiting_admission" in bots.path)
    pages.host.admit()
    await eventually(lambda: len(bots.attributions) == 2 and _shortest_ms(pool) >= 1_000)

    for renderer in bot.children("--type=renderer"):
        renderer.kill()
    await eventually(lambda: all(connection.gaps for connection in pool.connections) and _shortest_ms(pool) >= 3_000)
    pages.host.end()

    assert await bot.exit_code() == 0, bot.output
    assert bots.path == ["joining", "awaiting_admission", "active", "stopping", "completed"]
    assert {uid for uid, _ in bots.epochs} == {"session.1", "session.2"}
    for connection in pool.connections:
        assert [gap.reason for gap in connection.gaps if gap.reason not in STARVED] == [MissingReason.PAGE_LOST]


async def test_a_page_that_crashes_in_the_lobby_is_opened_again(bot: BotProcess, bots: BotsTwin, pages: Pages) -> None:
    """The bot asks once more, and goes on waiting."""
    await attend(bot, "google_meet", pages.url("google_meet"))
    await eventually(lambda: "awaiting_admission" in bots.path)

    for renderer in bot.children("--type=renderer"):
        renderer.kill()
    await eventually(lambda: pages.told == ["Vexa", "Vexa"])
    bots.commands = (Command(kind=CommandKind.LEAVE),)

    assert await bot.exit_code() == 0, bot.output
    assert bots.path == ["joining", "awaiting_admission", "stopping", "completed"]


async def test_a_page_that_crashes_again_ends_the_session(
    bot: BotProcess, pool: PoolTwin, bots: BotsTwin, pages: Pages
) -> None:
    """One rejoin, no more; all that was heard is stored."""
    pages.host.admit()
    await attend(bot, "jitsi", pages.url("jitsi"))
    await eventually(lambda: len(pool.connections) == 2 and _shortest_ms(pool) >= 1_000)
    for renderer in bot.children("--type=renderer"):
        renderer.kill()
    await eventually(lambda: all(connection.gaps for connection in pool.connections))

    for renderer in bot.children("--type=renderer"):
        renderer.kill()

    assert await bot.exit_code() == 1
    assert (bots.path[-1], bots.statuses[-1].reason) == ("failed", "page_lost")
    for stream in bots.statuses[-1].streams:
        assert pool.stored_ms[stream.stream_uid] == round(stream.captured_until_s * 1_000)


async def test_a_page_that_stands_still_is_a_fault_and_not_a_quiet_room(
    bot: BotProcess, pool: PoolTwin, bots: BotsTwin, pages: Pages
) -> None:
    """The time without samples becomes a gap that says so, and capture goes on."""
    pages.host.admit()
    await attend(bot, "teams", pages.url("teams"))
    await eventually(lambda: bool(pool.connections) and _shortest_ms(pool) >= 1_000)
    renderers = bot.children("--type=renderer")

    for renderer in renderers:
        renderer.suspend()
    await eventually(lambda: bool(pool.connections[0].gaps))
    for renderer in renderers:
        renderer.resume()
    heard = len(pool.connections[0].samples)
    await eventually(lambda: len(pool.connections[0].samples) >= heard + 2 * 32_000)
    bots.commands = (Command(kind=CommandKind.LEAVE),)

    assert await bot.exit_code() == 0, bot.output
    assert {gap.reason for gap in pool.connections[0].gaps} == {MissingReason.CAPTURE_SILENT}


async def test_sound_that_arrives_and_is_not_captured_is_a_fault_and_not_a_quiet_room(
    bot: BotProcess, pool: PoolTwin, bots: BotsTwin, pages: Pages
) -> None:
    """The levels of the network side tell the zeros of a deaf capture from silence, in the stream and in the log."""
    pages.host.admit()
    await attend(bot, "teams", pages.url("teams", "deaf=1"))
    await eventually(lambda: bool(pool.connections and pool.connections[0].gaps))
    bots.commands = (Command(kind=CommandKind.LEAVE),)

    assert await bot.exit_code() == 0, bot.output
    (connection,) = pool.connections
    assert (connection.samples, {gap.reason for gap in connection.gaps}) == (b"", {MissingReason.CAPTURE_SILENT})
    assert "capture is silent while the network is not" in bot.output


async def test_a_killed_bot_leaves_no_browser(bot: BotProcess, bots: BotsTwin, pages: Pages) -> None:
    """Nor anything else."""
    await attend(bot, "google_meet", pages.url("google_meet"))
    await eventually(lambda: "awaiting_admission" in bots.path)
    browsers = bot.children()
    assert len(browsers) > 3

    bot.send(signal.SIGKILL)

    await eventually(lambda: not [each for each in browsers if _is_alive(each)])


async def test_sigterm_leaves_the_meeting_within_seconds(bot: BotProcess, bots: BotsTwin, pages: Pages) -> None:
    """As a supervisor asks."""
    pages.host.admit()
    await attend(bot, "google_meet", pages.url("google_meet"))
    await eventually(lambda: "active" in bots.path)

    bot.send(signal.SIGTERM)

    assert await bot.exit_code() in {0, 1}
    assert pages.told[-1] == "left"
    assert bots.statuses[-1].status.is_terminal


def _shortest_ms(pool: PoolTwin) -> int:
    return min((len(connection.samples) // 32 for connection in pool.connections), default=0)


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False

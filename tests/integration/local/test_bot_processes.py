"""Bots at the end of a stack."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from vexa_functions.bots.launchers.process import seconds_after_boot
from vexa_local.bot_processes import STOP_WITHIN_S, running_bots, stop_bots

TELLING = """
import json, pathlib, psutil, signal, subprocess, sys, time
def launch(*_):
    bot = subprocess.Popen(["sleep", "600"])
    facts = {{"pid": bot.pid, "started": psutil.Process(bot.pid).create_time() - psutil.boot_time()}}
    pathlib.Path({folder!r}, "second.pid").write_text(json.dumps(facts))
    sys.exit()
signal.signal(signal.SIGTERM, launch)
print("listens", flush=True)
time.sleep(600)
"""
"""A process that starts another bot when it is told to end."""


@pytest.fixture
def bot() -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    yield process
    process.kill()
    process.wait()


def record(folder: Path, name: str, pid: int, started: float) -> None:
    (folder / f"{name}.pid").write_text(json.dumps({"pid": pid, "started": started}))


def test_living_bots_are_told_to_end(tmp_path: Path, bot: "subprocess.Popen[bytes]") -> None:
    """Bots outlive the function that started them, so the stack looks for them."""
    record(tmp_path, "session", bot.pid, seconds_after_boot(psutil.Process(bot.pid)))

    stopped = asyncio.run(stop_bots(tmp_path))

    assert stopped == 1
    assert bot.poll() is not None
    assert running_bots(tmp_path) == []


def test_a_bot_that_nobody_wrote_down_is_told_to_end(tmp_path: Path) -> None:
    """The function may be killed between starting a bot and writing down which process it is."""
    (tmp_path / "orphan.pid").write_text("")
    with subprocess.Popen(["sleep", "600"], env={**os.environ, "VEXA_BOT_SESSION": "orphan"}) as bot:
        stopped = asyncio.run(stop_bots(tmp_path))

        bot.kill()
    assert (stopped, bot.returncode) == (1, -signal.SIGTERM)


def test_a_bot_that_its_parent_has_not_noticed_is_not_waited_for(tmp_path: Path) -> None:
    """The function that started a bot reads its end seldom; until then the process has ended all the same."""
    spawn = "import subprocess, sys, time; print(subprocess.Popen(['sleep', '600']).pid, flush=True); time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", spawn], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        record(tmp_path, "session", pid, seconds_after_boot(psutil.Process(pid)))
        begun = time.monotonic()

        stopped = asyncio.run(stop_bots(tmp_path))

        assert (stopped, list(tmp_path.glob("*.pid"))) == (1, [])
        assert psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        assert time.monotonic() - begun < STOP_WITHIN_S
        parent.kill()


def test_a_bot_that_starts_while_others_are_stopped_is_stopped_too(tmp_path: Path) -> None:
    """A request that came just before the door was shut may launch a bot a moment later."""
    code = TELLING.format(folder=str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        first.stdout.readline()
        record(tmp_path, "first", first.pid, seconds_after_boot(psutil.Process(first.pid)))

        stopped = asyncio.run(stop_bots(tmp_path))

        assert (stopped, running_bots(tmp_path), list(tmp_path.glob("*.pid"))) == (2, [], [])


def test_a_record_that_is_half_written_is_kept(tmp_path: Path) -> None:
    """It may yet name a bot, which nobody else would find."""
    torn = tmp_path / "torn.pid"
    torn.write_text("{")

    asyncio.run(stop_bots(tmp_path))

    assert torn.exists()


def test_records_of_nobody_are_cleared(tmp_path: Path, bot: "subprocess.Popen[bytes]") -> None:
    """A number that now belongs to somebody else, or a file that is half written, names no bot."""
    record(tmp_path, "other", bot.pid, 1.0)
    (tmp_path / "torn.pid").write_text("{")

    assert running_bots(tmp_path) == []
    assert asyncio.run(stop_bots(tmp_path)) == 0
    assert bot.poll() is None
    assert [file.name for file in tmp_path.glob("*.pid")] == ["torn.pid"]

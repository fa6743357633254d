"""Bots at the end of a stack."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from vexa_local.bot_processes import running_bots, stop_bots


@pytest.fixture
def bot() -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    yield process
    process.kill()
    process.wait()


def record(folder: Path, name: str, pid: int, started: float) -> None:
    (folder / f"{name}.pid").write_text(json.dumps({"pid": pid, "started": started}))


async def test_living_bots_are_told_to_end(tmp_path: Path, bot: "subprocess.Popen[bytes]") -> None:
    """Bots outlive the function that started them, so the stack looks for them."""
    record(tmp_path, "session", bot.pid, psutil.Process(bot.pid).create_time())

    stopped = await stop_bots(tmp_path)

    assert stopped == 1
    assert bot.poll() is not None
    assert running_bots(tmp_path) == []


async def test_records_of_nobody_are_cleared(tmp_path: Path, bot: "subprocess.Popen[bytes]") -> None:
    """A number that now belongs to somebody else, or a file that is half written, names no bot."""
    record(tmp_path, "other", bot.pid, 1.0)
    (tmp_path / "torn.pid").write_text("{")

    assert running_bots(tmp_path) == []
    assert await stop_bots(tmp_path) == 0
    assert bot.poll() is None

"""The whole stack as its user starts and stops it."""

import contextlib
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest
from tests.waiting import DEADLINE_S

from vexa_local.state import State, read_env_file

READY_WITHIN_S = 120.0
STOPPED_WITHIN_S = 120.0


@dataclass(frozen=True, slots=True)
class Up:
    """A stack that runs in a process of its own."""

    process: "subprocess.Popen[bytes]"
    state: State
    offset: int
    log: Path

    def environment(self) -> dict[str, str]:
        return dict(read_env_file(self.state.env_file))


@pytest.fixture
def up(tmp_path: Path, free_port_offset: Callable[[], int]) -> Iterator[Up]:
    offset = free_port_offset()
    state = State.at_offset(offset)
    log = tmp_path / "up.log"
    command = [sys.executable, "-m", "vexa_local", "up", "--port-offset", str(offset)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
    yield Up(process, state, offset, log)
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOPPED_WITHIN_S)
    process.kill()
    process.wait()
    shutil.rmtree(state.folder, ignore_errors=True)


def test_a_stack_comes_up_serves_and_goes_without_a_trace(up: Up) -> None:
    """The key in its env file works, a second one is refused, and SIGTERM leaves no process."""
    wait_until(lambda: "\nready\n" in "\n" + up.log.read_text(), up)
    environment = up.environment()
    family = [psutil.Process(up.process.pid), *psutil.Process(up.process.pid).children(recursive=True)]

    key = {"X-API-Key": environment["VEXA_API_KEY"]}
    answer = httpx.get(environment["VEXA_API_URL"] + "/meetings", headers=key, trust_env=False, timeout=DEADLINE_S)
    second = subprocess.run(
        [sys.executable, "-m", "vexa_local", "up", "--port-offset", str(up.offset)],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    up.process.terminate()
    code = up.process.wait(STOPPED_WITHIN_S)

    assert answer.status_code == 200
    assert (second.returncode, "runs in" in second.stderr) == (1, True)
    assert up.state.env_file.stat().st_mode & 0o777 == 0o600
    assert code == 0
    assert len(family) > 8
    assert [process for process in family[1:] if process.is_running()] == []


def test_a_stack_comes_back_after_its_supervisor_was_killed(up: Up) -> None:
    """The next start stops what was left over, and the same key still works."""
    wait_until(lambda: "\nready\n" in "\n" + up.log.read_text(), up)
    key = up.environment()["VEXA_API_KEY"]
    left_over = psutil.Process(up.process.pid).children(recursive=True)
    up.process.kill()
    up.process.wait()

    command = [sys.executable, "-m", "vexa_local", "up", "--port-offset", str(up.offset)]
    with up.log.open("wb") as output:
        again = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        wait_until(lambda: "\nready\n" in "\n" + up.log.read_text(), Up(again, up.state, up.offset, up.log))
        assert up.environment()["VEXA_API_KEY"] == key
        assert [process for process in left_over if process.is_running()] == []
    finally:
        again.terminate()
        assert again.wait(STOPPED_WITHIN_S) == 0


def wait_until(condition: Callable[[], bool], up: Up) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while not condition():
        assert up.process.poll() is None, up.log.read_text()
        assert time.monotonic() < deadline, up.log.read_text()
        time.sleep(0.1)

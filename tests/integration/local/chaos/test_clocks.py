"""Wall clocks of processes, stepped one by one."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vexa_local.chaos.clocks import REREAD_S, Clocks, find_library

PROGRAM = "import time\nwhile input(): print(time.time(), time.monotonic(), flush=True)"
STEP_S = 40.0
HALF_S = STEP_S / 2


@pytest.fixture
def clocks(tmp_path: Path) -> Clocks:
    library = find_library()
    if library is None and os.environ.get("CI"):
        pytest.fail("libfaketime is not installed: apt-get install libfaketime")
    if library is None:
        pytest.skip("libfaketime is not installed: apt-get install libfaketime")
    return Clocks(tmp_path, library)


@pytest.fixture
def process(clocks: Clocks) -> Iterator[subprocess.Popen[str]]:
    """Tells its clocks for every line that it is sent."""
    environment = {"PATH": os.environ["PATH"], **clocks.environment("worker-1")}
    command = [sys.executable, "-c", PROGRAM]
    with subprocess.Popen(
        command, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        yield process
        process.kill()


def told(process: subprocess.Popen[str]) -> tuple[float, float]:
    assert process.stdin
    assert process.stdout
    process.stdin.write("now\n")
    process.stdin.flush()
    wall, monotonic = process.stdout.readline().split()
    return float(wall) - time.time(), float(monotonic) - time.monotonic()


def test_a_clock_is_stepped_and_set_right_again(clocks: Clocks, process: subprocess.Popen[str]) -> None:
    """The time of day jumps both ways, the monotonic clock does not, and nobody else's moves."""
    assert abs(told(process)[0]) < HALF_S

    clocks.step("worker-1", STEP_S)
    clocks.step("gateway", -STEP_S)

    wait_for(process, lambda ahead_s: ahead_s > HALF_S)
    assert abs(told(process)[1]) < HALF_S
    clocks.set_right("worker-1")
    wait_for(process, lambda ahead_s: abs(ahead_s) < HALF_S)


def test_without_the_library_a_process_has_the_machines_clock(tmp_path: Path) -> None:
    """Nothing is preloaded."""
    assert Clocks(tmp_path, None).environment("worker-1") == {}


def wait_for(process: subprocess.Popen[str], condition: Callable[[float], bool]) -> None:
    deadline_s = time.monotonic() + 20 * REREAD_S
    while not condition(told(process)[0]):
        assert time.monotonic() < deadline_s
        time.sleep(0.05)

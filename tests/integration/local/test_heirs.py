"""Processes whose children outlive them and hold their output open, as bots do."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator

import psutil
import pytest
from tests.ports import free_port
from tests.waiting import DEADLINE_S, eventually

from vexa_local.parts import Part, PartSpec

HEIR = "import time; time.sleep(600)"
PARENT = (
    "import subprocess, sys, time;"
    f"heir = subprocess.Popen([sys.executable, '-c', {HEIR!r}], start_new_session=True);"
    "print(heir.pid, flush=True); time.sleep(600)"
)


class Heirs:
    """An output that collects the numbers which the parents print."""

    def __init__(self) -> None:
        self.pids: list[int] = []

    def line(self, name: str, text: str) -> None:
        self.pids.append(int(text))

    def note(self, text: str) -> None:
        """Nothing is done with notes."""


async def at_once() -> bool:
    return True


@pytest.fixture
async def heirs() -> AsyncIterator[Heirs]:
    """What parents leave behind ends with the test."""
    collected = Heirs()
    yield collected
    for pid in collected.pids:
        if psutil.pid_exists(pid):
            os.kill(pid, signal.SIGKILL)


async def test_a_killed_process_starts_again_while_its_child_lives(heirs: Heirs) -> None:
    """The function that launches bots comes back while the bots go on."""
    part = a_parent(heirs)
    await part.start()
    await eventually(lambda: len(heirs.pids) >= 1)
    assert part.pid is not None

    os.kill(part.pid, signal.SIGKILL)
    await eventually(lambda: len(heirs.pids) >= 2)

    assert psutil.pid_exists(heirs.pids[0])
    await part.stop()


async def test_a_process_is_stopped_while_its_child_lives(heirs: Heirs) -> None:
    """Stopping waits for the process, not for whoever holds its output."""
    part = a_parent(heirs)
    await part.start()
    await eventually(lambda: len(heirs.pids) >= 1)

    async with asyncio.timeout(DEADLINE_S):
        await part.stop()

    assert part.pid is None


def a_parent(heirs: Heirs) -> Part:
    spec = PartSpec(name="parent", command=(sys.executable, "-c", PARENT), port=free_port(), is_ready=at_once)
    return Part(spec, dict(os.environ), heirs, spawned=lambda _name, _pid: None)

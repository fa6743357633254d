"""Real processes under the supervisor: kept alive, stopped, never left behind."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from tests.ports import free_port
from tests.waiting import DEADLINE_S, eventually

from vexa_functions.bots.launchers.process import seconds_after_boot
from vexa_local.errors import StartFailed
from vexa_local.parts import PartSpec
from vexa_local.ports import LOOPBACK
from vexa_local.records import Records
from vexa_local.supervisor import Supervisor

SLEEPER = "import time; print('awake', flush=True); time.sleep(600)"
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
LISTENER = """
import signal, sys, time
def end(number, _):
    with open({told!r}, "a") as file:
        print({name!r}, number, file=file)
    sys.exit()
signal.signal(signal.SIGTERM, end)
signal.signal(signal.SIGINT, end)
print("listens", flush=True)
time.sleep(600)
"""
PARENT = f"import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', {SLEEPER!r}]); print(p.pid, flush=True)"


@dataclass(slots=True)
class Heard:
    """An output that remembers."""

    lines: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def line(self, name: str, text: str) -> None:
        self.lines.append((name, text))

    def note(self, text: str) -> None:
        self.notes.append(text)


@dataclass(frozen=True, slots=True)
class Said:
    """Ready once the process has spoken."""

    heard: Heard
    name: str

    async def so(self) -> bool:
        return any(name == self.name for name, _ in self.heard.lines)


async def at_once() -> bool:
    return True


async def never() -> bool:
    return False


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
async def supervisor(heard: Heard, tmp_path: Path) -> AsyncIterator[Supervisor]:
    inherited = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
    running = Supervisor(inherited, heard, records=tmp_path / "processes.json")
    yield running
    await running.stop()


@pytest.fixture
def outsider() -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen([sys.executable, "-c", SLEEPER], stdout=subprocess.DEVNULL)
    yield process
    process.kill()
    process.wait()


def a_part(
    code: str,
    name: str = "part",
    *,
    is_ready: Callable[[], Awaitable[bool]] = at_once,
    port: int | None = None,
    ready_within_s: float = DEADLINE_S,
) -> PartSpec:
    return PartSpec(
        name=name,
        command=(sys.executable, "-c", code),
        port=port or free_port(),
        is_ready=is_ready,
        ready_within_s=ready_within_s,
        stop_within_s=0.5,
    )


def pid_of(supervisor: Supervisor) -> int:
    [[part]] = supervisor.stages
    assert part.pid is not None
    return part.pid


async def test_a_killed_process_starts_again(supervisor: Supervisor, heard: Heard) -> None:
    """Whatever ends a process, the stack gets it back."""
    await supervisor.start([[a_part(SLEEPER)]])
    first = pid_of(supervisor)

    psutil.Process(first).kill()

    [[part]] = supervisor.stages
    await eventually(lambda: part.restarts == 1 and part.pid is not None)
    assert part.pid != first
    assert heard.notes == ["part ended with -9; it starts again in 0.5 s"]


async def test_a_stopped_process_stays_down(supervisor: Supervisor) -> None:
    """Stopping is no crash."""
    await supervisor.start([[a_part(SLEEPER)]])
    process = psutil.Process(pid_of(supervisor))

    await supervisor.stop()

    [[part]] = supervisor.stages
    assert part.restarts == 0
    assert not process.is_running()


async def test_a_process_that_ignores_the_request_is_killed(supervisor: Supervisor, heard: Heard) -> None:
    """The end of a stack is bounded."""
    await supervisor.start([[a_part(DEAF, is_ready=Said(heard, "part").so)]])
    process = psutil.Process(pid_of(supervisor))

    await supervisor.stop()

    assert not process.is_running()
    assert heard.notes == ["part did not stop within 0.5 s and is killed"]


async def test_what_a_process_started_ends_with_it(supervisor: Supervisor, heard: Heard) -> None:
    """A parent that goes first leaves nobody behind."""
    await supervisor.start([[a_part(PARENT + "; p.wait()", is_ready=Said(heard, "part").so)]])
    [(_, grandchild)] = [line for line in heard.lines if line[1].isdigit()]

    await supervisor.stop()

    await eventually(lambda: not is_alive(int(grandchild)))


async def test_a_process_that_ends_at_once_fails_the_start_with_its_words(supervisor: Supervisor) -> None:
    """The reason is what the process said last."""
    with pytest.raises(StartFailed, match=r"(?s)part ended with 3.*no such setting"):
        await supervisor.start([[a_part("print('no such setting'); raise SystemExit(3)", is_ready=never)]])


async def test_a_process_that_does_not_get_ready_fails_the_start(supervisor: Supervisor, heard: Heard) -> None:
    """Waiting is bounded, and nothing of a failed start stays."""
    with pytest.raises(StartFailed, match=r"part was not ready on port \d+ within 0.5 s"):
        await supervisor.start([[a_part(SLEEPER, is_ready=never, ready_within_s=0.5)]])

    process = psutil.Process(pid_of(supervisor))
    await supervisor.stop()
    assert not process.is_running()


async def test_a_taken_port_fails_the_start_by_name(supervisor: Supervisor) -> None:
    """The message names the part, the port and a way out."""
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(StartFailed, match=rf"port {port} \(part\) is taken.*--port-offset"):
            await supervisor.start([[a_part(SLEEPER, port=port)]])


async def test_a_stage_waits_for_the_one_before(supervisor: Supervisor, heard: Heard) -> None:
    """Functions start when the database is migrated, not before."""
    order: list[str] = []

    await supervisor.start(
        [[a_part(SLEEPER, "first", is_ready=Said(heard, "first").so)], [lambda: order.append(heard.lines[0][0])]]
    )

    assert order == ["first"]


async def test_a_killed_runs_processes_are_stopped_by_the_next(
    supervisor: Supervisor, heard: Heard, tmp_path: Path, outsider: "subprocess.Popen[bytes]"
) -> None:
    """A supervisor that was killed could not clean up; its records tell what to stop."""
    record(tmp_path, outsider.pid, seconds_after_boot(psutil.Process(outsider.pid)))

    await supervisor.start([])

    assert not is_alive(outsider.pid)
    assert heard.notes == ["pool is left over from an earlier run and is stopped"]


async def test_a_stranger_with_a_recorded_number_is_left_alone(
    supervisor: Supervisor, tmp_path: Path, outsider: "subprocess.Popen[bytes]"
) -> None:
    """Process numbers are used again; the start time tells who is meant."""
    record(tmp_path, outsider.pid, 1.0)

    await supervisor.start([])

    assert is_alive(outsider.pid)


@pytest.mark.parametrize("text", ["", "[]", '{"pool": {"pid": 1', '{"pool": 7}', '{"pool": {"started": 1}}'])
async def test_records_that_cannot_be_read_do_not_stand_in_the_way(
    supervisor: Supervisor, heard: Heard, tmp_path: Path, text: str
) -> None:
    """A power cut may leave anything; whether a port is taken is looked at anyway."""
    (tmp_path / "processes.json").write_text(text)

    await supervisor.start([[a_part(SLEEPER)]])

    assert pid_of(supervisor)
    assert [note.partition(":")[0] for note in heard.notes] == ["what an earlier run left behind is not known"]


def test_leftovers_end_with_their_own_signal_clients_before_stores(heard: Heard, tmp_path: Path) -> None:
    """A store that is told to end while clients hold it may wait for them, and one that is killed must recover."""
    told, file = tmp_path / "told", tmp_path / "processes.json"
    records = Records(file)
    with listener("store", told) as store, listener("client", told) as client:
        records.remember("store", store.pid, stop_signal=signal.SIGINT, stage=0)
        records.remember("client", client.pid, stop_signal=signal.SIGTERM, stage=1)

        Supervisor({}, heard, records=file).stop_leftovers()

        assert told.read_text().split() == ["client", "15", "store", "2"]
        assert (store.wait(), client.wait(), file.exists()) == (0, 0, False)


@contextmanager
def listener(name: str, told: Path) -> Iterator["subprocess.Popen[bytes]"]:
    command = [sys.executable, "-c", LISTENER.format(name=name, told=str(told))]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def record(folder: Path, pid: int, started: float) -> None:
    (folder / "processes.json").write_text(json.dumps({"pool": {"pid": pid, "started": started}}))


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False

"""
What a cold start costs: processor time from process start to the first real answer, beside an empty function.

    python -m tests.benchmarks.cold_start [--rounds 9] [--bare] [--python PATH]

Every process is started anew, ours as in images, and asked once for something
that needs its database. In each round the empty functions-framework function
goes first; ratios are to it. Processor time is all that a process and its
children used in user and system mode, which neighbours touch little; elapsed
time is told beside. Everything is compiled and in the page cache. `--python`
names one with the packages that the image has, and no others.
"""

import argparse
import asyncio
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil
from tests.benchmarks.stage import SIGNING_KEY, Databases, Meeting, databases, new_key, open_meeting, program, say
from tests.ports import free_port

import vexa_events
import vexa_functions
from vexa_events.envelope import Event, encode_binary
from vexa_events.identity import BotStatus, UserId
from vexa_events.lifecycle import BotStatusChanged
from vexa_events.registry import bot_event, committed_event
from vexa_functions.auth.identity import HEADER, Principal, sign_identity

ANSWERED_WITHIN_S = 60.0
SUCCESS = (b"HTTP/1.1 200", b"HTTP/1.1 204")
SCHEDULED = 2
"""What Linux calls the clock of all threads of a process (CPUCLOCK_SCHED)."""
ADMIN_KEY = "an administrator's key for a benchmark"
SOURCES = Path(vexa_functions.__file__).parent
EVENTS = Path(vexa_events.__file__).parent
EMPTY = """
import functions_framework.aio
from starlette.responses import Response

@functions_framework.aio.http
async def empty(request):
    return Response(status_code=204)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One function, and what it is asked first."""

    name: str
    request: Callable[[int], bytes]
    """By the number of the round."""
    env: Mapping[str, str]
    source: Path
    is_bare: bool
    """Under the framework's own command instead of in its shell."""

    def command(self, python: Sequence[str], port: int) -> list[str]:
        """Return how it is started."""
        if not self.is_bare:
            return [*python, "-m", "vexa_functions", self.name, "--port", str(port)]
        framework = str(Path(python[0]).with_name("functions-framework"))
        return [*python, framework, "--source", str(self.source), "--target", self.name, "--port", str(port)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """One cold start."""

    cpu_s: float
    elapsed_s: float


def main() -> None:
    """Measure all in turn and print the medians."""
    parser = argparse.ArgumentParser(description="Measure what a cold start costs.")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--bare", action="store_true", help="ours under the framework's command too")
    parser.add_argument("--python", default=sys.executable, help="one that has what the image has")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        empty = empty_function(folder)
        stores = stack.enter_context(databases(durable=False))
        behind = free_port()
        stack.enter_context(program(empty.command([options.python], behind), {}, behind))
        ours = asyncio.run(functions(stores, behind=f"http://127.0.0.1:{behind}", folder=folder, is_bare=options.bare))
        asked = [empty, *ours]
        rounds = [[_measure(one, turn, options.python) for one in asked] for turn in range(options.rounds + 1)]
    _report([one.name for one in asked], rounds[1:])


def empty_function(folder: Path) -> Asked:
    """Write the function that ours are compared with."""
    source = folder / "empty.py"
    source.write_text(EMPTY)
    return Asked(name="empty", request=lambda _: _request("GET", "/"), env={}, source=source, is_bare=True)


async def functions(stores: Databases, *, behind: str, folder: Path, is_bare: bool = False) -> list[Asked]:
    """Return every function with something that it is asked first, new in each round; `behind` answers anything."""
    meeting = await open_meeting(stores, streams=1)
    key = await new_key(stores, meeting.user_id)
    env = _environment(stores, behind, folder)
    requests: dict[str, Callable[[int], bytes]] = {
        "collector": lambda turn: _post("/events", committed_event(meeting.batch(meeting.stream_uids[0], turn))),
        "webhooks": lambda turn: _post("/events", _joined(meeting, turn)),
        "dead_letters": lambda turn: _post("/", _joined(meeting, turn)),
        "gateway": lambda _: _request("GET", "/meetings", {"x-api-key": key}),
        "admin": lambda _: _request("GET", "/admin/users", {"x-admin-api-key": ADMIN_KEY}),
        "bots": lambda _: _request("GET", "/bots/status", {HEADER: _signed(UserId(meeting.user_id))}),
    }
    return [
        Asked(name=name, request=request, env=env, source=SOURCES / name / "main.py", is_bare=is_bare)
        for name, request in requests.items()
    ]


def answer_of(port: int, request: bytes) -> bytes:
    """Ask as soon as somebody listens, and return the beginning of the answer."""
    until_s = time.perf_counter() + ANSWERED_WITHIN_S
    while time.perf_counter() < until_s:
        with socket.socket() as connection:
            connection.settimeout(ANSWERED_WITHIN_S)
            if connection.connect_ex(("127.0.0.1", port)) == 0:
                connection.sendall(request)
                return connection.recv(65_536)
        time.sleep(0.002)
    raise SystemExit(f"nobody listens at {port}")


def _environment(stores: Databases, behind: str, folder: Path) -> dict[str, str]:
    names = ("ADMIN_API_URL", "BOT_MANAGER_URL", "TRANSCRIPTION_COLLECTOR_URL", "K_SINK")
    return {
        **stores.environment,
        **dict.fromkeys(names, behind),
        "ADMIN_API_KEY": ADMIN_KEY,
        "STREAM_URL": "ws://127.0.0.1:9",
        "BOT_RUN_DIR": str(folder),
        "METRICS_PORT": str(free_port()),
        "PYTHONPATH": os.pathsep.join(map(str, (SOURCES.parent, EVENTS.parent))),
    }


def _joined(meeting: Meeting, turn: int) -> Event:
    return bot_event(
        BotStatusChanged(
            meeting_id=meeting.meeting_id,
            user_id=meeting.user_id,
            session_uid=meeting.session_uid,
            platform="replay",
            native_meeting_id="bench",
            status=BotStatus.JOINING,
            sequence=turn,
            at=datetime.now(UTC),
        )
    )


def _signed(user: UserId) -> str:
    return sign_identity(Principal(user_id=user, scopes=frozenset()), key=SIGNING_KEY)


def _post(path: str, event: Event) -> bytes:
    headers, body = encode_binary(event)
    return _request("POST", path, headers, body)


def _request(method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b"") -> bytes:
    told = {"host": "benchmark", "content-length": str(len(body)), **(headers or {})}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in told.items()), "", ""]
    return "\r\n".join(lines).encode() + body


def _measure(one: Asked, turn: int, python: str) -> Cost:
    port = free_port()
    command = one.command([python], port)
    began_s = time.perf_counter()
    process = subprocess.Popen(command, env={"PATH": os.environ["PATH"], **one.env}, start_new_session=True)
    try:
        answer = answer_of(port, one.request(turn))
        elapsed_s = time.perf_counter() - began_s
        cost = Cost(cpu_s=_cpu_s(process.pid), elapsed_s=elapsed_s)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if not answer.startswith(SUCCESS):
        raise SystemExit(f"{one.name} answered {answer!r}")
    return cost


def _cpu_s(pid: int) -> float:
    """Return the processor time of a process and its children, to the nanosecond."""
    pids = [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    return sum(time.clock_gettime(~one << 3 | SCHEDULED) for one in pids)


def _report(names: Sequence[str], rounds: Sequence[Sequence[Cost]]) -> None:
    say(f"{'':14}{'CPU ms':>8}{'ratio':>7}{'of rounds':>15}{'elapsed ms':>12}")
    for number, name in enumerate(names):
        costs = [turn[number] for turn in rounds]
        ratios = [turn[number].cpu_s / turn[0].cpu_s for turn in rounds]
        cpu_ms = statistics.median(cost.cpu_s for cost in costs) * 1000
        elapsed_ms = statistics.median(cost.elapsed_s for cost in costs) * 1000
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        say(f"{name:14}{cpu_ms:8.0f}{statistics.median(ratios):7.2f}{spread:>15}{elapsed_ms:12.0f}")


if __name__ == "__main__":
    main()

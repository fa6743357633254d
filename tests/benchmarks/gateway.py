"""
What the gateway costs: its requests a second and p99, as a ratio to a bare function in the same run.

    python -m tests.benchmarks.gateway [--seconds 4] [--rounds 5] [--connections 16]

The bare function is a Starlette app under the functions-framework command. The
gateway stands in its shell before that same function, with a real key in a
real Postgres and rate limits counted in a real Valkey: every request is
authenticated, counted, signed and forwarded. Whichever is measured has a core
to itself; everything else, this process included, shares the others.
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

import psutil
import uvloop
from tests.benchmarks.stage import Databases, databases, function, new_key, open_meeting, percentile, program, say
from tests.ports import free_port

CORE = 0
"""What is measured runs here."""
LATE_S = 10.0
BARE = """
import functions_framework.aio
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

async def meetings(request):
    return JSONResponse({"meetings": []})

app = Starlette(routes=[Route("/meetings", meetings)])

@functions_framework.aio.http
async def bare(request):
    return app
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One round against one server."""

    rate_hz: float
    p99_ms: float
    cpu_ms: float
    """CPU time of the server for one request: does not depend on what else the machine does."""


def main() -> None:
    """Measure both in turn and print the medians."""
    parser = argparse.ArgumentParser(description="Measure what the gateway costs.")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=16)
    options = parser.parse_args()
    os.sched_setaffinity(0, _other_cores())
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        bare = stack.enter_context(_bare_function(folder, core=CORE))
        behind = stack.enter_context(_bare_function(folder, core=None))
        stores = stack.enter_context(databases(durable=False))
        key = asyncio.run(_prepare(stores))
        gateway = stack.enter_context(_gateway(stores, behind=behind))
        measure = partial(_measure, key=key, connections=options.connections, seconds=options.seconds)
        rounds = [(measure(bare), measure(gateway)) for _ in range(options.rounds)]
    _report("bare function", [direct for direct, _ in rounds])
    _report("gateway", [through for _, through in rounds])
    ratios = [through.rate_hz / direct.rate_hz for direct, through in rounds]
    say(f"ratio of requests/s: {statistics.median(ratios):.2f} (rounds: {min(ratios):.2f} to {max(ratios):.2f})")
    costs = [direct.cpu_ms / through.cpu_ms for direct, through in rounds]
    say(f"ratio of requests per second of CPU: {statistics.median(costs):.2f}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A server that is measured."""

    port: int
    process: psutil.Process

    def cpu_s(self) -> float:
        """Return the processor time of all of its processes."""
        times = [each.cpu_times() for each in (self.process, *self.process.children(recursive=True))]
        return sum(float(each.user + each.system) for each in times)


def _measure(target: Target, *, key: str, connections: int, seconds: float) -> Measured:
    uvloop.run(_load(target.port, key, connections, 0.5))
    before_s = target.cpu_s()
    latencies_s = uvloop.run(_load(target.port, key, connections, seconds))
    return Measured(
        rate_hz=len(latencies_s) / seconds,
        p99_ms=percentile(latencies_s, 0.99) * 1000,
        cpu_ms=(target.cpu_s() - before_s) * 1000 / len(latencies_s),
    )


async def _load(port: int, key: str, connections: int, seconds: float) -> list[float]:
    latencies_s: list[float] = []
    loop = asyncio.get_running_loop()
    askers = [Asker(key, time.perf_counter() + seconds, latencies_s, loop.create_future()) for _ in range(connections)]
    for asker in askers:
        await loop.create_connection(lambda asker=asker: asker, "127.0.0.1", port)  # type: ignore[misc]
    async with asyncio.timeout(seconds + LATE_S):
        await asyncio.gather(*(asker.done for asker in askers))
    return latencies_s


class Asker(asyncio.Protocol):
    """A connection that asks again as soon as it was answered."""

    def __init__(self, key: str, ends_at_s: float, latencies_s: list[float], done: "asyncio.Future[None]") -> None:
        self._request = f"GET /meetings HTTP/1.1\r\nhost: benchmark\r\nx-api-key: {key}\r\n\r\n".encode()
        self._ends_at_s = ends_at_s
        self._latencies_s = latencies_s
        self._answer = b""
        self.done = done

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the first time."""
        self._transport = cast("asyncio.Transport", transport)
        self._ask()

    def data_received(self, data: bytes) -> None:
        """Note a complete answer and ask again."""
        self._answer += data
        head, end, body = self._answer.partition(b"\r\n\r\n")
        if not end or len(body) < int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]):
            return
        now_s = time.perf_counter()
        self._latencies_s.append(now_s - self._began_s)
        if head.startswith(b"HTTP/1.1 200") and now_s < self._ends_at_s:
            self._ask()
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell how it went."""
        if self._answer.startswith(b"HTTP/1.1 200"):
            self.done.set_result(None)
        else:
            self.done.set_exception(SystemExit(f"unexpected answer: {self._answer!r}"))

    def _ask(self) -> None:
        self._answer = b""
        self._began_s = time.perf_counter()
        self._transport.write(self._request)


@contextmanager
def _bare_function(folder: Path, *, core: int | None) -> Iterator[Target]:
    source, port = folder / "bare.py", free_port()
    source.write_text(BARE)
    command = Path(sys.executable).with_name("functions-framework")
    arguments = [str(command), "--source", str(source), "--target", "bare", "--port", str(port)]
    with program(arguments, {}, port, core) as process:
        yield Target(port=port, process=process)


@contextmanager
def _gateway(stores: Databases, *, behind: Target) -> Iterator[Target]:
    port, url = free_port(), f"http://127.0.0.1:{behind.port}"
    addresses = {"ADMIN_API_URL": url, "BOT_MANAGER_URL": url, "TRANSCRIPTION_COLLECTOR_URL": url}
    with function("gateway", {**stores.environment, **addresses, "RATE_PER_KEY_HZ": "1000000"}, port, core=CORE) as run:
        yield Target(port=port, process=run)


async def _prepare(stores: Databases) -> str:
    meeting = await open_meeting(stores, streams=0)
    return await new_key(stores, meeting.user_id)


def _other_cores() -> set[int]:
    return (os.sched_getaffinity(0) - {CORE}) or {CORE}


def _report(name: str, rounds: Sequence[Measured]) -> None:
    rate_hz = statistics.median(measured.rate_hz for measured in rounds)
    p99_ms = statistics.median(measured.p99_ms for measured in rounds)
    cpu_ms = statistics.median(measured.cpu_ms for measured in rounds)
    say(f"{name}: {rate_hz:.0f} requests/s, p99 {p99_ms:.1f} ms, {cpu_ms:.3f} ms of CPU a request")


if __name__ == "__main__":
    main()

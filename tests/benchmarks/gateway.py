"""
What the gateway costs: its requests a second and p99, as a ratio to a bare function in the same run.

    python tests/benchmarks/gateway.py [--seconds 4] [--rounds 5] [--connections 16]

The bare function is a Starlette app under the functions-framework command. The
gateway stands in its shell before that same function, with a real key in a
real Postgres and rate limits counted in a real Valkey: every request is
authenticated, counted, signed and forwarded.
"""

import argparse
import asyncio
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
import psutil

from vexa_functions.auth.api_keys import hash_api_key, key_prefix, new_api_key
from vexa_functions.store.migrate import migrate
from vexa_functions.store.tables import open_store
from vexa_local.ports import free_port
from vexa_local.postgres import PostgresServer
from vexa_local.servers import running
from vexa_local.valkey import ValkeyServer

PATH = "/meetings"
STARTED_WITHIN_S = 30.0
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
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        bare_port, gateway_port = free_port(), free_port()
        bare_pid = stack.enter_context(_bare_function(folder, bare_port))
        key, gateway_pid = stack.enter_context(_gateway(folder, gateway_port, behind=f"http://127.0.0.1:{bare_port}"))
        measure = partial(_measure, key=key, connections=options.connections, seconds=options.seconds)
        bare, gateway = [], []
        for _ in range(options.rounds):
            bare.append(measure(bare_port, bare_pid))
            gateway.append(measure(gateway_port, gateway_pid))
    _report("bare function", bare)
    _report("gateway", gateway)
    ratios = [through.rate_hz / direct.rate_hz for direct, through in zip(bare, gateway, strict=True)]
    _print(f"ratio of requests/s: {statistics.median(ratios):.2f} (rounds: {min(ratios):.2f} to {max(ratios):.2f})")
    costs = [direct.cpu_ms / through.cpu_ms for direct, through in zip(bare, gateway, strict=True)]
    _print(f"ratio of requests per second of CPU: {statistics.median(costs):.2f}")


def _measure(port: int, pid: int, *, key: str, connections: int, seconds: float) -> Measured:
    before_s = _cpu_s(pid)
    latencies_s = sorted(asyncio.run(_load(port, key, connections, seconds)))
    return Measured(
        rate_hz=len(latencies_s) / seconds,
        p99_ms=latencies_s[int(len(latencies_s) * 0.99)] * 1000,
        cpu_ms=(_cpu_s(pid) - before_s) * 1000 / len(latencies_s),
    )


def _cpu_s(pid: int) -> float:
    server = psutil.Process(pid)
    times = [process.cpu_times() for process in (server, *server.children(recursive=True))]
    return sum(each.user + each.system for each in times)


async def _load(port: int, key: str, connections: int, seconds: float) -> list[float]:
    latencies_s: list[float] = []
    ends_at_s = time.perf_counter() + seconds
    async with asyncio.TaskGroup() as tasks:
        for _ in range(connections):
            tasks.create_task(_ask_until(ends_at_s, port, key, latencies_s))
    return latencies_s


async def _ask_until(ends_at_s: float, port: int, key: str, latencies_s: list[float]) -> None:
    request = f"GET {PATH} HTTP/1.1\r\nhost: benchmark\r\nx-api-key: {key}\r\n\r\n".encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while (began_s := time.perf_counter()) < ends_at_s:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"unexpected answer: {head!r}")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
        latencies_s.append(time.perf_counter() - began_s)
    writer.close()


@contextmanager
def _bare_function(folder: Path, port: int) -> Iterator[int]:
    source = folder / "bare.py"
    source.write_text(BARE)
    command = Path(sys.executable).with_name("functions-framework")
    with _serving([str(command), "--source", str(source), "--target", "bare", "--port", str(port)], {}, port) as pid:
        yield pid


@contextmanager
def _gateway(folder: Path, port: int, *, behind: str) -> Iterator[tuple[str, int]]:
    postgres = PostgresServer(
        data_dir=folder / "postgres", port=free_port(), password="benchmark", durable=False, max_connections=20
    )
    valkey = ValkeyServer(data_dir=folder, port=free_port(), durable=False)
    with running(postgres, log_file=folder / "postgres.log"), running(valkey, log_file=folder / "valkey.log"):
        key = asyncio.run(_prepare(postgres.url))
        env = {
            "DATABASE_URL": postgres.url,
            "REDIS_URL": valkey.url,
            "TOKEN_SIGNING_KEY": "a signing key for a benchmark, 32 bytes or more",
            "ADMIN_API_URL": behind,
            "BOT_MANAGER_URL": behind,
            "TRANSCRIPTION_COLLECTOR_URL": behind,
            "RATE_PER_KEY_HZ": "1000000",
            "BURST_PER_KEY": "1000000",
            "LOG_LEVEL": "WARNING",
        }
        app = "vexa_functions.gateway.asgi:app"
        command = [sys.executable, "-m", "uvicorn", app, "--port", str(port), "--no-access-log"]
        with _serving(command, env, port) as pid:
            yield key, pid


async def _prepare(url: str) -> str:
    await migrate(url)
    key = new_api_key()
    async with open_store(url, max_connections=1) as store, store.transaction() as tables:
        user = await tables.users.insert(email="bench@example.org", name=None, image_url=None, max_concurrent_bots=1)
        if user is None:
            raise SystemExit("the database is not empty")
        await tables.tokens.insert(
            user.id, name=None, key_hash=hash_api_key(key), key_prefix=key_prefix(key), scopes=["user"], expires_at=None
        )
    return key


@contextmanager
def _serving(command: Sequence[str], env: dict[str, str], port: int) -> Iterator[int]:
    process = subprocess.Popen(
        command,
        env={"PATH": os.environ["PATH"], **env},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        deadline_s = time.monotonic() + STARTED_WITHIN_S
        while not _answers(port):
            if process.poll() is not None or time.monotonic() > deadline_s:
                raise SystemExit(f"did not start: {command[-1]}")
            time.sleep(0.1)
        yield process.pid
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=30)


def _answers(port: int) -> bool:
    try:
        httpx.get(f"http://127.0.0.1:{port}/health", timeout=2, trust_env=False)
    except httpx.TransportError:
        return False
    return True


def _report(name: str, rounds: Sequence[Measured]) -> None:
    rate_hz = statistics.median(measured.rate_hz for measured in rounds)
    p99_ms = statistics.median(measured.p99_ms for measured in rounds)
    cpu_ms = statistics.median(measured.cpu_ms for measured in rounds)
    _print(f"{name}: {rate_hz:.0f} requests/s, p99 {p99_ms:.1f} ms, {cpu_ms:.3f} ms of CPU a request")


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()

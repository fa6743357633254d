"""
What runs bots, as the launchers meet it: processes, a real Docker engine, and a
Kubernetes API in memory that checks what it is given against the published schemas.
"""

import asyncio
import contextlib
import signal
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import docker
import httpx
import psutil
import pytest
from tests.integration.functions.launchers.cluster import RUN_SCRIPT, ClusterTwin
from tests.integration.functions.launchers.world import MakeWorld, World

from vexa_events.identity import BotStatus
from vexa_events.publisher import SinkPublisher
from vexa_events.registry import CONTRACTS, bot_type
from vexa_functions.bots.announcing import Announcer
from vexa_functions.bots.launchers.docker import DEPLOYMENT_LABEL, ContainerShape, DockerLauncher, create_container
from vexa_functions.bots.launchers.kubernetes import KubernetesLauncher
from vexa_functions.bots.launchers.launcher import Launcher, NewBot
from vexa_functions.bots.launchers.process import ProcessLauncher
from vexa_functions.live_feed import LiveFeed
from vexa_functions.relay import Relay
from vexa_functions.store.tables import Store


@dataclass
class Runtime:
    """One way to run bots, seen from both sides."""

    open: Callable[[], Launcher]
    """Opens a launcher as one more instance of the bots function does."""
    break_off: Callable[[NewBot], Awaitable[None]]
    """Launches a bot as an instance does that vanishes halfway."""
    count: Callable[[], int]
    """Counts all that launched bots left with whoever runs them."""


@pytest.fixture(params=["process", "docker", "kubernetes"])
def runtime(request: pytest.FixtureRequest) -> Runtime:
    """Each way to run bots in turn."""
    made: Runtime = request.getfixturevalue(f"{request.param}_runtime")
    return made


@pytest.fixture
def process_runtime(tmp_path: Path) -> Iterator[Runtime]:
    """Processes of this machine."""
    run_dir = tmp_path / "bots"
    yield Runtime(
        open=lambda: ProcessLauncher(run_dir, [sys.executable, "-c", RUN_SCRIPT]),
        break_off=partial(_break_off_process, run_dir),
        count=lambda: _count_processes(run_dir),
    )
    for child in _bots():
        child.kill()


@pytest.fixture
async def docker_runtime(bot_image: str) -> AsyncIterator[Runtime]:
    """Containers of a real engine, of a deployment that only this test has."""
    opened: list[DockerLauncher] = []
    shape = ContainerShape(image=bot_image, deployment=f"test-{uuid.uuid4().hex}", memory_mb=256, cpus=0.5)

    def open_one() -> Launcher:
        opened.append(DockerLauncher(shape, {}))
        return opened[-1]

    with contextlib.closing(docker.DockerClient()) as client:
        ours: dict[str, str | list[str] | bool] = {"label": f"{DEPLOYMENT_LABEL}={shape.deployment}"}
        yield Runtime(
            open=open_one,
            break_off=partial(_break_off_container, client, shape),
            count=lambda: len(client.api.containers(all=True, filters=ours)),
        )
        for container in client.containers.list(all=True, filters=ours):
            container.remove(force=True)
    for launcher in opened:
        await launcher.aclose()


@pytest.fixture
async def kubernetes_runtime(cluster: ClusterTwin) -> AsyncIterator[Runtime]:
    """Jobs of the cluster in memory."""
    opened: list[KubernetesLauncher] = []

    def open_one() -> Launcher:
        opened.append(cluster.launcher())
        return opened[-1]

    yield Runtime(
        open=open_one,
        break_off=cluster.break_off,
        count=lambda: len(cluster.jobs) + len(cluster.secrets) + len(cluster.running()),
    )
    for launcher in opened:
        await launcher.aclose()


@pytest.fixture(scope="session")
def bot_image(docker_base: str) -> str:
    """An image whose program does what its environment tells."""
    recipe = f"FROM {docker_base}\nUSER 10001\nCMD {_as_json(['python3', '-c', RUN_SCRIPT])}\n"
    with contextlib.closing(docker.DockerClient()) as client:
        client.images.build(fileobj=BytesIO(recipe.encode()), tag="vexa-test-bot", rm=True)
    return "vexa-test-bot"


@pytest.fixture
async def cluster(serve: Callable[[Any], Awaitable[str]]) -> AsyncIterator[ClusterTwin]:
    """A Kubernetes API in memory."""
    twin = ClusterTwin()
    twin.url = await serve(twin.app())
    yield twin
    for pod in twin.pods.values():
        pod.end(signal.SIGKILL)


async def _break_off_process(run_dir: Path, bot: NewBot) -> None:
    """Start a process, and do not write down which."""
    launcher = ProcessLauncher(run_dir, [sys.executable, "-c", RUN_SCRIPT])
    await launcher.launch(bot)
    (run_dir / f"{bot.session_uid}.pid").write_text("")


async def _break_off_container(client: docker.DockerClient, shape: ContainerShape, bot: NewBot) -> None:
    """Create a container, and do not start it."""
    await asyncio.to_thread(create_container, client, shape, bot)


def _count_processes(run_dir: Path) -> int:
    return len(list(run_dir.glob("*"))) + len(_bots())


def _bots() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if _is_bot(child)]


def _as_json(words: list[str]) -> str:
    return "[" + ", ".join('"' + word.replace('"', '\\"') + '"' for word in words) + "]"


def _is_bot(process: psutil.Process) -> bool:
    """Tell whether it is a bot that lives; it may end while it is looked at."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE and RUN_SCRIPT in process.cmdline()
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
async def make_world(store: Store, valkey: Any, sink: Any) -> AsyncIterator[MakeWorld]:
    """Build a world around what runs the bots."""
    source = CONTRACTS[bot_type(BotStatus.REQUESTED)].source
    async with httpx.AsyncClient() as client:
        announcer = Announcer(Relay(store, SinkPublisher(client, sink.url), source=source), LiveFeed(valkey))

        async def make(runtime: Any) -> World:
            async with store.transaction() as tables:
                user = await tables.users.insert(
                    email="ann@example.org", name=None, image_url=None, max_concurrent_bots=9
                )
            assert user is not None
            return World(store, runtime, runtime.open(), announcer, user.id)

        yield make


@pytest.fixture
async def world(make_world: MakeWorld, process_runtime: Any) -> World:
    """Bots as processes: the quickest."""
    return await make_world(process_runtime)


@pytest.fixture
async def any_world(make_world: MakeWorld, runtime: Any) -> World:
    """Bots on everything that runs bots, in turn."""
    return await make_world(runtime)

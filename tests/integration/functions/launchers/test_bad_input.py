"""Requests that come to nothing: each ends with a reason that a user understands, and with nothing left of it."""

import asyncio
import contextlib
import os
import shutil
import socket
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import docker
import httpx
import psutil
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send
from tests.waiting import DEADLINE_S

from vexa_functions.bots.app import build
from vexa_functions.bots.settings import BotsSettings
from vexa_functions.store.census import Census
from vexa_functions.store.database import Database
from vexa_functions.store.tables import Store

RECORDING = {"platform": "replay", "native_meeting_id": "nowhere"}
MARK = "STARTED_BY"
"""A variable that bots of a test, and their browsers, inherit."""
OPTIONS = {"BOT_HEARTBEAT_S": "0.2", "BOT_TERMINATE_LIMIT_S": "1"}


@dataclass(frozen=True, slots=True)
class Left:
    """What there is of bots: processes, containers, rows that wait for something."""

    processes: int
    containers: int
    rows: dict[str, int]


@dataclass(frozen=True, slots=True)
class Office:
    """A bots function that bots can call back, as its user meets it."""

    client: httpx.AsyncClient
    store: Store

    async def ask(self, **body: Any) -> httpx.Response:
        return await self.client.post("/bots", json=body)

    async def fate(self) -> tuple[str, str | None, str]:
        """Wait until the meeting has ended; return its status, reason and evidence."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                async with self.store.reading() as tables:
                    ((meeting, *_),) = [await tables.meetings.page(skip=0, limit=1)]
                if meeting.status.is_terminal:
                    return meeting.status.value, meeting.reason, meeting.evidence or ""
                await asyncio.sleep(0.1)


OpenOffice = Callable[..., AbstractAsyncContextManager[Office]]
CountLeft = Callable[[], Awaitable[Left]]


@pytest.fixture
def deployment() -> str:
    """Whose containers these are."""
    return f"test-{uuid.uuid4().hex}"


@pytest.fixture
def open_office(
    bots_env: dict[str, str], user: dict[str, str], store: Store, deployment: str, serve: Callable[[ASGIApp], Any]
) -> OpenOffice:
    """Open the bots function with settings of the test's own; it launches the real bot."""

    @asynccontextmanager
    async def opened(**settings: str) -> AsyncIterator[Office]:
        apps: list[ASGIApp] = []

        async def forward(scope: Scope, receive: Receive, send: Send) -> None:
            await apps[0](scope, receive, send)

        env = {
            **bots_env,
            **OPTIONS,
            "BOT_COMMAND": f"env {MARK}={deployment} {sys.executable} -m vexa_bot",
            "BOT_MANAGER_URL": await serve(forward),
            "BOT_DEPLOYMENT": deployment,
            "BOT_PLATFORMS": "replay,janus",
        }
        function = build(BotsSettings.from_env(env | settings))
        apps.append(function.app)
        transport = httpx.ASGITransport(function.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://function", headers=user) as client:
            yield Office(client, store)
        await function.aclose()

    return opened


@pytest.fixture
def count_left(postgres_url: str, store: Store, collector: httpx.AsyncClient, deployment: str) -> CountLeft:
    """Count what there is, giving what is about to end a moment and the collector its tick."""

    async def count() -> Left:
        await collector.post("/internal/tick")
        async with store.reading() as tables:
            meetings = await tables.meetings.page(skip=0, limit=100)
        database = Database(postgres_url, max_connections=1)
        async with database.connection() as connection:
            unsettled = await Census(connection).unsettled([meeting.id for meeting in meetings])
        await database.aclose()
        return Left(_count_processes(deployment), _count_containers(deployment), unsettled.counts)

    async def settled() -> Left:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DEADLINE_S):
                while await count() != Left(0, 0, {}):
                    await asyncio.sleep(0.1)
        return await count()

    return settled


async def test_an_image_that_is_missing(docker_base: str, open_office: OpenOffice, count_left: CountLeft) -> None:
    """503 says what to do; the meeting that was written down has failed with the same words."""
    before = await count_left()
    async with open_office(BOT_LAUNCHER="docker", BOT_IMAGE="never-built:1") as office:
        answer = await office.ask(**RECORDING)
        fate = await office.fate()
        after = await count_left()

    told = "the bot's image never-built:1 is not on the Docker engine; build or pull it"
    assert (answer.status_code, answer.json()["detail"]) == (503, told)
    assert fate == ("failed", "launch_failed", told)
    assert after == before == Left(0, 0, {})


async def test_an_engine_that_does_not_answer(
    open_office: OpenOffice, count_left: CountLeft, unused_tcp_port: int
) -> None:
    """503 says where it was looked for."""
    before = await count_left()
    engine = f"tcp://127.0.0.1:{unused_tcp_port}"
    async with open_office(BOT_LAUNCHER="docker", BOT_IMAGE="vexa-bot", DOCKER_HOST=engine) as office:
        answer = await office.ask(**RECORDING)
        fate = await office.fate()
        after = await count_left()

    told = f"the Docker engine does not answer at {engine}"
    assert (answer.status_code, answer.json()["detail"]) == (503, told)
    assert fate == ("failed", "launch_failed", told)
    assert after == before


async def test_no_slot_in_the_pool(open_office: OpenOffice, count_left: CountLeft, store: Store) -> None:
    """503 before anything is written."""
    before = await count_left()
    async with open_office(BOT_ADMISSION="pool") as office:
        answer = await office.ask(**RECORDING)
        after = await count_left()

    assert (answer.status_code, answer.json()["detail"]) == (503, "no worker of the pool is alive")
    async with store.reading() as tables:
        assert await tables.meetings.count() == 0
    assert after == before


async def test_a_recording_that_there_is_not(open_office: OpenOffice, count_left: CountLeft) -> None:
    """The bot says so itself, and is gone."""
    before = await count_left()
    async with open_office() as office:
        answer = await office.ask(**RECORDING)
        status, reason, evidence = await office.fate()
        after = await count_left()

    assert (answer.status_code, status, reason) == (201, "failed", "recording_not_found")
    assert "nowhere" in evidence
    assert after == before


async def test_chromium_that_is_missing(open_office: OpenOffice, count_left: CountLeft) -> None:
    """The evidence names the program; the setting is that of the bots function."""
    before = await count_left()
    async with open_office(CHROMIUM_PATH="/nowhere/chromium", BOT_SELF_HOSTED="janus=localhost:8000") as office:
        answer = await office.ask(meeting_url="http://localhost:8000/videoroomtest.html?room=1")
        status, reason, evidence = await office.fate()
        after = await count_left()

    assert (answer.status_code, status, reason) == (201, "failed", "browser_missing")
    assert "/nowhere/chromium" in evidence
    assert after == before


@pytest.mark.slow
async def test_a_page_that_never_loads(
    open_office: OpenOffice, count_left: CountLeft, silent_server: str, deployment: str
) -> None:
    """The server takes the call and says nothing: the bot gives up in time, its browser with it."""
    _require_chromium()
    before = await count_left()
    async with open_office(BOT_SELF_HOSTED=f"janus={silent_server}", BOT_JOIN_LIMIT_S="10") as office:
        answer = await office.ask(meeting_url=f"http://{silent_server}/videoroomtest.html?room=1")
        async with asyncio.timeout(DEADLINE_S):
            while _count_processes(deployment) < 3:
                await asyncio.sleep(0.1)
        status, reason, evidence = await office.fate()
        after = await count_left()

    assert (answer.status_code, status, reason) == (201, "failed", "page_unreachable")
    assert silent_server in evidence
    assert after == before


@pytest.fixture
def silent_server() -> Iterator[str]:
    """Host and port of a server that accepts and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def _count_processes(deployment: str) -> int:
    environments = (process.info["environ"] or {} for process in psutil.process_iter(["environ"]))
    return sum(1 for environment in environments if environment.get(MARK) == deployment)


def _count_containers(deployment: str) -> int:
    if shutil.which("docker") is None:
        return 0
    try:
        with contextlib.closing(docker.DockerClient.from_env()) as engine:
            return len(engine.containers.list(all=True, filters={"label": f"vexa.deployment={deployment}"}))
    except docker.errors.DockerException:
        return 0


def _require_chromium() -> None:
    if shutil.which("chromium") is None:
        told = "missing: chromium; tests/acceptance/janus/setup installs it"
        pytest.fail(told) if os.environ.get("CI") == "true" else pytest.skip(told)

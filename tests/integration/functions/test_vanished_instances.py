"""Instances of the bots function that are killed in the midst of a request, and those who come after them."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import psutil
import pytest
from tests.ports import free_port
from tests.waiting import DEADLINE_S

from vexa_functions.bots.app import build
from vexa_functions.bots.settings import BotsSettings

STANDUP = {"platform": "replay", "native_meeting_id": "standup"}
KEY = {"idempotency-key": "order-66"}


@pytest.fixture
def hung_engine() -> Iterator[socket.socket]:
    """A Docker engine that takes calls and answers none."""
    with socket.create_server(("127.0.0.1", 0)) as engine:
        engine.settimeout(DEADLINE_S)
        yield engine


@pytest.fixture
def port() -> int:
    """Where the instance listens."""
    return free_port()


@pytest.fixture
def instance(bots_env: dict[str, str], hung_engine: socket.socket, port: int) -> Iterator["subprocess.Popen[bytes]"]:
    """An instance whose launcher hangs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "vexa_functions", "bots", "--port", str(port)],
        env=bots_env | _docker_at(hung_engine) | {"PATH": os.environ["PATH"]},
    )
    yield process
    process.kill()
    process.wait()


async def test_a_request_sent_again_starts_the_bot_of_an_instance_that_was_killed(
    instance: "subprocess.Popen[bytes]",
    port: int,
    hung_engine: socket.socket,
    bots_env: dict[str, str],
    bots: httpx.AsyncClient,
    user: dict[str, str],
) -> None:
    """Killed between the row and the launch, it leaves a meeting that the same request brings to life."""
    of_others = _sleepers()
    request = asyncio.create_task(_ask(f"http://127.0.0.1:{port}/bots", user))
    taken, _ = await asyncio.to_thread(hung_engine.accept)
    instance.kill()
    taken.close()
    with pytest.raises(httpx.TransportError):
        await request
    (hanging,) = (await bots.get("/bots/status", headers=user)).json()["running_bots"]

    again = await _until_launched(bots_env, user)

    assert hanging["container_id"] is None
    assert (str(again["id"]), again["status"]) == (hanging["meeting_id_from_name"], "requested")
    assert again["bot_container_id"].startswith("process:")
    assert len(_sleepers() - of_others) == 1


def _sleepers() -> set[int]:
    """The bots that run now: they sleep for a while, those of earlier tests as well."""
    return {child.pid for child in psutil.Process().children() if child.name() == "sleep"}


def _docker_at(engine: socket.socket) -> dict[str, str]:
    host, port = engine.getsockname()
    return {
        "BOT_LAUNCHER": "docker",
        "BOT_IMAGE": "vexa-bot",
        "DOCKER_HOST": f"tcp://{host}:{port}",
        "BOT_LAUNCH_AGAIN_S": "0.2",
    }


async def _ask(url: str, user: dict[str, str]) -> None:
    async with httpx.AsyncClient(trust_env=False, timeout=DEADLINE_S) as client, asyncio.timeout(DEADLINE_S):
        while True:
            try:
                await client.get(url)
            except httpx.ConnectError:
                await asyncio.sleep(0.05)
            else:
                break
        await client.post(url, json=STANDUP, headers=user | KEY)


async def _until_launched(env: dict[str, str], user: dict[str, str]) -> dict[str, Any]:
    """Send the request again, as clients do that got no answer, until it is known how its bot is called."""
    function = build(BotsSettings.from_env(env | {"BOT_LAUNCH_AGAIN_S": "0.2"}))
    transport = httpx.ASGITransport(function.app)
    async with (
        httpx.AsyncClient(transport=transport, base_url="http://function") as client,
        asyncio.timeout(DEADLINE_S),
    ):
        while True:
            answer = await client.post("/bots", json=STANDUP, headers=user | KEY)
            assert answer.status_code == 201
            if answer.json()["bot_container_id"] is not None:
                break
            await asyncio.sleep(0.05)
    await function.aclose()
    told: dict[str, Any] = answer.json()
    return told

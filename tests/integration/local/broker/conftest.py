"""The local Broker against real subscribers and a real Valkey."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import redis.asyncio as redis
from starlette.applications import Starlette
from starlette.routing import Route
from tests.integration.local.broker.local_broker import Brokers, Subscriber, accept_all, serving
from tests.ports import free_port


@pytest.fixture
async def subscriber() -> AsyncIterator[Subscriber]:
    port = free_port()
    recorder = Subscriber(url=f"http://127.0.0.1:{port}", answer=accept_all)
    app = Starlette(routes=[Route("/{rest:path}", recorder.take, methods=["POST"])])
    async with serving(app, port):
        yield recorder


@pytest.fixture
async def valkey(valkey_url: str) -> AsyncIterator["redis.Redis"]:
    client = redis.Redis.from_url(valkey_url)
    yield client
    await client.aclose()


@pytest.fixture
async def brokers(valkey_url: str, tmp_path: Path, subscriber: Subscriber) -> AsyncIterator[Brokers]:
    services = f'{{"subscriber": "{subscriber.url}"}}'
    environment = {"REDIS_URL": valkey_url, "KNATIVE_DIR": str(tmp_path), "SERVICE_URLS": services}
    async with AsyncExitStack() as running:
        yield Brokers(folder=tmp_path, environment=environment, running=running)

"""The functions on real Postgres and Valkey, with a real HTTP sink that remembers what it was sent."""

import asyncio
import contextlib
import json
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Protocol

import httpx
import pytest
import redis.asyncio as redis
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from tests.waiting import DEADLINE_S

from vexa_events.envelope import Event, parse_http
from vexa_events.identity import UserId
from vexa_functions.admin.app import build as build_admin
from vexa_functions.admin.settings import AdminSettings
from vexa_functions.auth.api_keys import hash_api_key, key_prefix, new_api_key
from vexa_functions.auth.identity import HEADER, Principal, sign_identity
from vexa_functions.bots.app import build as build_bots
from vexa_functions.bots.settings import BotsSettings
from vexa_functions.collector.app import build as build_collector
from vexa_functions.collector.settings import CollectorSettings
from vexa_functions.dead_letters.app import build as build_dead_letters
from vexa_functions.dead_letters.settings import DeadLettersSettings
from vexa_functions.gateway.app import build as build_gateway
from vexa_functions.gateway.app import live_feed
from vexa_functions.gateway.settings import GatewaySettings
from vexa_functions.hosting.function import Function
from vexa_functions.store.tables import Store, open_store
from vexa_functions.webhooks.app import build as build_webhooks
from vexa_functions.webhooks.settings import WebhooksSettings

SIGNING_KEY = "a signing key for tests, 32 bytes or more"
ADMIN_KEY = "an administrator key for tests"
Serve = Callable[[ASGIApp], Awaitable[str]]


class StartGateway(Protocol):
    """Starts a gateway with these variables; returns its URL."""

    async def __call__(self, **env: str) -> str: ...


class MakeKey(Protocol):
    """Makes an API key."""

    async def __call__(self, email: str, *scopes: str, expires_at: datetime | None = None) -> str: ...


@dataclass
class Sink:
    """What a Broker was sent, and how it answers."""

    url: str = ""
    status: int = 202
    events: list[Event] = field(default_factory=list)
    on_event: Callable[[Event], Awaitable[None]] | None = None
    """Awaited before an event is answered."""

    def of_type(self, event_type: str) -> list[Event]:
        return [event for event in self.events if event.type == event_type]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Run ASGI apps on ports of their own until the test ends."""
    servers: list[tuple[uvicorn.Server, asyncio.Task[None]]] = []

    async def start(app: ASGIApp) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=1))
        task = asyncio.create_task(server.serve([listener]))
        servers.append((server, task))
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield start
    for server, task in servers:
        server.should_exit = True
        await task


@pytest.fixture
async def sink(serve: Serve) -> Sink:
    """A place where functions publish."""
    remembered = Sink()

    async def take(request: Request) -> Response:
        event = parse_http(request.headers, await request.body())
        if remembered.on_event is not None:
            await remembered.on_event(event)
        if remembered.status == 202:
            remembered.events.append(event)
        return Response(status_code=remembered.status)

    remembered.url = await serve(Starlette(routes=[Route("/", take, methods=["POST"])]))
    return remembered


@pytest.fixture
async def store(postgres_url: str) -> AsyncIterator[Store]:
    """The store, past every door."""
    async with open_store(postgres_url, max_connections=5) as opened:
        yield opened


@pytest.fixture
async def valkey(valkey_url: str) -> AsyncIterator["redis.Redis"]:
    """A client of the Valkey that the functions use."""
    client: redis.Redis = redis.Redis.from_url(valkey_url, decode_responses=True)
    yield client
    await client.aclose()


@pytest.fixture
def collector_env(postgres_url: str, valkey_url: str, sink: Sink) -> dict[str, str]:
    """What the collector reads."""
    return {
        "DATABASE_URL": postgres_url,
        "REDIS_URL": valkey_url,
        "TOKEN_SIGNING_KEY": SIGNING_KEY,
        "K_SINK": sink.url,
        "FINALIZE_TIMEOUT_S": "60",
    }


@pytest.fixture
async def collector(collector_env: dict[str, str]) -> AsyncIterator[httpx.AsyncClient]:
    """The collector's own app."""
    async with _client(build_collector(CollectorSettings.from_env(collector_env))) as client:
        yield client


@pytest.fixture
async def impatient_collector(collector_env: dict[str, str]) -> AsyncIterator[httpx.AsyncClient]:
    """One that waits for nothing once a session has ended."""
    settings = CollectorSettings.from_env({**collector_env, "FINALIZE_TIMEOUT_S": "0"})
    async with _client(build_collector(settings)) as client:
        yield client


@pytest.fixture
def bots_env(postgres_url: str, valkey_url: str, sink: Sink, tmp_path: Path) -> dict[str, str]:
    """What the bots function reads; the bots that it launches sleep."""
    recordings = tmp_path / "recordings"
    recordings.mkdir()
    return {
        "DATABASE_URL": postgres_url,
        "REDIS_URL": valkey_url,
        "TOKEN_SIGNING_KEY": SIGNING_KEY,
        "K_SINK": sink.url,
        "BOT_COMMAND": "sleep 600",
        "BOT_RUN_DIR": str(tmp_path / "bots"),
        "BOT_MANAGER_URL": "http://127.0.0.1:9",
        "STREAM_URL": "ws://127.0.0.1:9",
        "VEXA_REPLAY_DIR": str(recordings),
    }


@pytest.fixture
async def bots(bots_env: dict[str, str], tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """The bots function's own app."""
    async with _client(build_bots(BotsSettings.from_env(bots_env))) as client:
        yield client
    for record in (tmp_path / "bots").glob("*.pid"):
        with contextlib.suppress(ProcessLookupError):
            os.kill(json.loads(record.read_text())["pid"], signal.SIGKILL)


@pytest.fixture
async def admin(postgres_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """The admin function's own app, with the administrator's key."""
    settings = AdminSettings.from_env({"DATABASE_URL": postgres_url, "ADMIN_API_KEY": ADMIN_KEY})
    async with _client(build_admin(settings)) as client:
        client.headers["x-admin-api-key"] = ADMIN_KEY
        yield client


@pytest.fixture
async def dead_letters(postgres_url: str, sink: Sink) -> AsyncIterator[httpx.AsyncClient]:
    """The dead letter function's own app, with the administrator's key."""
    env = {"DATABASE_URL": postgres_url, "ADMIN_API_KEY": ADMIN_KEY, "K_SINK": sink.url}
    async with _client(build_dead_letters(DeadLettersSettings.from_env(env))) as client:
        client.headers["x-admin-api-key"] = ADMIN_KEY
        yield client


@pytest.fixture
async def webhooks(postgres_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """The webhooks function's own app; receivers on this machine are allowed."""
    env = {"DATABASE_URL": postgres_url, "TOKEN_SIGNING_KEY": SIGNING_KEY, "WEBHOOK_ALLOW_LOOPBACK": "true"}
    async with _client(build_webhooks(WebhooksSettings.from_env(env))) as client:
        yield client


@pytest.fixture
async def start_gateway(postgres_url: str, valkey_url: str, serve: Serve) -> AsyncIterator[StartGateway]:
    """Start gateways, `/ws` included; what stands behind is told as environment variables, and is nowhere if not."""
    started: list[Function] = []
    nowhere = "http://127.0.0.1:9"
    valid = {
        "DATABASE_URL": postgres_url,
        "REDIS_URL": valkey_url,
        "TOKEN_SIGNING_KEY": SIGNING_KEY,
        "ADMIN_API_URL": nowhere,
        "BOT_MANAGER_URL": nowhere,
        "TRANSCRIPTION_COLLECTOR_URL": nowhere,
    }

    async def start(**env: str) -> str:
        function = build_gateway(GatewaySettings.from_env(valid | env))
        started.append(function)
        sockets = Starlette(routes=[WebSocketRoute("/ws", partial(live_feed, lambda: function))])

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await (sockets if scope["type"] == "websocket" else function.app)(scope, receive, send)

        return await serve(app)

    yield start
    for function in started:
        await function.aclose()


@pytest.fixture
async def functions_env(
    serve: Serve,
    admin: httpx.AsyncClient,
    bots: httpx.AsyncClient,
    collector: httpx.AsyncClient,
    dead_letters: httpx.AsyncClient,
    webhooks: httpx.AsyncClient,
) -> dict[str, str]:
    """Where every function is, as a gateway is told."""
    return {
        "ADMIN_API_URL": await serve(_app(admin)),
        "BOT_MANAGER_URL": await serve(_app(bots)),
        "TRANSCRIPTION_COLLECTOR_URL": await serve(_app(collector)),
        "DEAD_LETTERS_URL": await serve(_app(dead_letters)),
        "WEBHOOKS_URL": await serve(_app(webhooks)),
    }


@pytest.fixture
async def gateway_url(start_gateway: StartGateway, functions_env: dict[str, str]) -> str:
    """A gateway with every function behind it."""
    return await start_gateway(**functions_env)


@pytest.fixture
def make_key(store: Store) -> MakeKey:
    """Make a key for the user with this e-mail, who may have two bots."""

    async def make(email: str, *scopes: str, expires_at: datetime | None = None) -> str:
        key = new_api_key()
        async with store.transaction() as tables:
            new = await tables.users.insert(email=email, name=None, image_url=None, max_concurrent_bots=2)
            user = new or await tables.users.by_email(email)
            assert user is not None
            await tables.tokens.insert(
                user.id,
                name=None,
                key_hash=hash_api_key(key),
                key_prefix=key_prefix(key),
                scopes=list(scopes or ("user",)),
                expires_at=expires_at,
            )
        return key

    return make


@pytest.fixture
async def api_key(make_key: MakeKey) -> str:
    """The key of a user who may have two bots."""
    return await make_key("ann@example.org")


@pytest.fixture
async def api(gateway_url: str, api_key: str) -> AsyncIterator[httpx.AsyncClient]:
    """A user's client."""
    async with httpx.AsyncClient(base_url=gateway_url, headers={"x-api-key": api_key}, timeout=DEADLINE_S) as client:
        yield client


@pytest.fixture
async def user(store: Store) -> dict[str, str]:
    """Headers that prove a user with two bots."""
    async with store.transaction() as tables:
        created = await tables.users.insert(email="ann@example.org", name=None, image_url=None, max_concurrent_bots=2)
    assert created is not None
    return _signed(created.id)


@pytest.fixture
def headers_of() -> Callable[[UserId], dict[str, str]]:
    """Sign who is calling, as the gateway does."""
    return _signed


@pytest.fixture
def signing_key() -> str:
    """The key that all functions of a test share."""
    return SIGNING_KEY


def _app(client: httpx.AsyncClient) -> ASGIApp:
    transport = client._transport
    assert isinstance(transport, httpx.ASGITransport)
    app: ASGIApp = transport.app
    return app


def _signed(user_id: UserId) -> dict[str, str]:
    return {HEADER: sign_identity(Principal(user_id=user_id, scopes=frozenset({"user"})), key=SIGNING_KEY)}


@asynccontextmanager
async def _client(function: Function) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(function.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://function") as client:
        yield client
    await function.aclose()

"""The gateway: authenticates, forwards, and serves the live feed."""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.websockets import WebSocket

from vexa_functions.auth.identity import HEADER, sign_identity
from vexa_functions.gateway.authentication import Authenticator
from vexa_functions.gateway.forwarding import forward
from vexa_functions.gateway.live import LiveConnection, admit
from vexa_functions.gateway.settings import GatewaySettings
from vexa_functions.hosting.door import answer_errors
from vexa_functions.hosting.function import Function
from vexa_functions.hosting.lazy import Lazy
from vexa_functions.live_feed import LiveReader, open_valkey
from vexa_functions.store.tables import Store, open_store

ANY_METHOD = ["GET", "POST", "PUT", "PATCH", "DELETE"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayDeps:
    """The gateway's graph."""

    settings: GatewaySettings
    store: Store
    authenticator: Authenticator
    client: httpx.AsyncClient
    reader: LiveReader


@asynccontextmanager
async def open_deps(settings: GatewaySettings) -> AsyncIterator[GatewayDeps]:
    """Put the gateway together."""
    async with (
        open_store(str(settings.database_url), max_connections=settings.max_connections) as store,
        open_valkey(str(settings.redis_url)) as valkey,
        httpx.AsyncClient(timeout=settings.forward_timeout_s) as client,
    ):
        yield GatewayDeps(
            settings=settings, store=store, authenticator=Authenticator(store), client=client, reader=LiveReader(valkey)
        )


async def health(_: Request) -> Response:
    """GET /health and GET /"""
    return JSONResponse({"status": "ok", "service": "vexa-gateway"})


async def to_admin(request: Request) -> Response:
    """Pass on; the admin function checks the administrator's key itself."""
    deps = await _deps(request)
    return await forward(request, deps.client, str(deps.settings.admin_api_url), {})


async def to_dead_letters(request: Request) -> Response:
    """Pass on; the dead letter function checks the administrator's key itself."""
    deps = await _deps(request)
    return await forward(request, deps.client, str(deps.settings.dead_letters_url), {})


async def to_bots(request: Request) -> Response:
    """Authenticate and pass on to the bots function."""
    deps = await _deps(request)
    return await _forward_for_user(request, deps, str(deps.settings.bot_manager_url))


async def to_collector(request: Request) -> Response:
    """Authenticate and pass on to the collector."""
    deps = await _deps(request)
    return await _forward_for_user(request, deps, str(deps.settings.transcription_collector_url))


async def live_feed(function: Callable[[], Function], socket: WebSocket) -> None:
    """Serve /ws; functions-framework carries no WebSocket, so the outer shell routes it."""
    deps: GatewayDeps = await function().app.state.deps.get()
    principal = await admit(socket, deps.authenticator)
    if principal is not None:
        connection = LiveConnection(socket, deps.store, deps.reader, principal)
        await connection.serve(deps.settings.max_socket_s)


def build(settings: GatewaySettings) -> Function:
    """Put the function together; nothing is opened yet."""
    deps = Lazy(lambda: open_deps(settings))
    app = Starlette(
        routes=[
            Route("/", health, methods=["GET"]),
            Route("/health", health, methods=["GET"]),
            Route("/admin/dead-letters", to_dead_letters, methods=ANY_METHOD),
            Route("/admin/dead-letters/{rest:path}", to_dead_letters, methods=ANY_METHOD),
            Route("/admin/{rest:path}", to_admin, methods=ANY_METHOD),
            Route("/bots", to_bots, methods=ANY_METHOD),
            Route("/bots/{rest:path}", to_bots, methods=ANY_METHOD),
            Route("/meetings", to_collector, methods=ANY_METHOD),
            Route("/transcripts/{rest:path}", to_collector, methods=ANY_METHOD),
        ],
        exception_handlers=answer_errors(),
    )
    app.state.deps = deps
    return Function(app=app, log_level=settings.log_level, aclose=deps.aclose)


@cache
def function() -> Function:
    """Return this process's one gateway."""
    return build(GatewaySettings.from_env(os.environ))


async def _forward_for_user(request: Request, deps: GatewayDeps, base_url: str) -> Response:
    principal = await deps.authenticator.principal(request.headers.get("x-api-key"))
    identity = sign_identity(principal, key=deps.settings.token_signing_key.get_secret_value())
    return await forward(request, deps.client, base_url, {HEADER: identity})


async def _deps(request: Request) -> GatewayDeps:
    deps: GatewayDeps = await request.app.state.deps.get()
    return deps

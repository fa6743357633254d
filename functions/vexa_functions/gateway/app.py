"""The gateway: authenticates, forwards, and serves the live feed."""

import os
from collections.abc import Callable
from functools import cache

from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from vexa_events.trace_context import context_in
from vexa_events.tracing import SpanKind, span
from vexa_functions.auth.scopes import ANY_KEY, Scope
from vexa_functions.gateway.access import KEY_HEADER
from vexa_functions.gateway.answers import HealthAnswer, KeyAnswer, refusal
from vexa_functions.gateway.dashboard_files import PAGE, dashboard_file, wants_page
from vexa_functions.gateway.deps import GatewayDeps, open_deps
from vexa_functions.gateway.docs_page import CONTENT_SECURITY_POLICY, docs_page
from vexa_functions.gateway.forwarding import Forwarder
from vexa_functions.gateway.live.event_stream import MEDIA_TYPE, EventStream
from vexa_functions.gateway.live.feed import Feed, position_of
from vexa_functions.gateway.live.socket import serve_socket
from vexa_functions.gateway.live.wire import MeetingRef
from vexa_functions.gateway.settings import GatewaySettings
from vexa_functions.gateway.table import DOCUMENT, Table, read_document
from vexa_functions.hosting.door import answer, answer_errors
from vexa_functions.hosting.function import Function
from vexa_functions.hosting.lazy import Lazy
from vexa_functions.hosting.operations import Caller, Operation, Parameter, routes_of
from vexa_functions.hosting.parameters import text_in_path


class Gateway(Function):
    """The function, and what /ws needs beside its app."""

    def __init__(self, app: ASGIApp, *, settings: GatewaySettings, deps: Lazy[GatewayDeps]) -> None:
        super().__init__(name="gateway", app=app, settings=settings, aclose=deps.aclose)
        self.deps = deps


async def get_health(_: Request) -> Response:
    """GET /health"""
    return answer(HealthAnswer(status="ok", service="vexa-gateway"))


async def get_root(request: Request) -> Response:
    """GET /: the dashboard for browsers, health for everybody else"""
    if wants_page(request.headers.get("accept")):
        return dashboard_file(PAGE, request.headers.get("if-none-match"))
    return answer(HealthAnswer(status="ok", service="vexa-gateway"), headers={"Vary": "Accept"})


async def get_dashboard_file(request: Request) -> Response:
    """GET /dashboard/{name}"""
    return dashboard_file(text_in_path(request, "name"), request.headers.get("if-none-match"))


async def get_openapi(_: Request) -> Response:
    """GET /openapi.json"""
    return Response(DOCUMENT.read_bytes(), media_type="application/json")


async def get_docs(_: Request) -> Response:
    """GET /docs"""
    headers = {"Content-Security-Policy": CONTENT_SECURITY_POLICY, "X-Content-Type-Options": "nosniff"}
    return Response(docs_page(read_document()), media_type="text/html", headers=headers)


async def get_key(request: Request) -> Response:
    """GET /user/key"""
    holder = await (await _deps(request)).access.admit(request, request.headers.get(KEY_HEADER), ANY_KEY)
    told = KeyAnswer(user_id=holder.principal.user_id, scopes=tuple(sorted(holder.principal.scopes)))
    return answer(told, headers={"Cache-Control": "no-store"})


async def get_stream(request: Request) -> Response:
    """GET /transcripts/{platform}/{native_meeting_id}/stream"""
    live = (await _deps(request)).live
    key = request.headers.get(KEY_HEADER)
    holder = await live.access.admit(request, key, Scope.READ)
    ref = MeetingRef(platform=text_in_path(request, "platform"), native_id=text_in_path(request, "native_meeting_id"))
    feed = Feed(live.store, live.rings, holder.principal.user_id)
    await feed.follow(ref, since=position_of(request.headers.get("last-event-id")))
    return EventStream(feed, live.access.visit(key or ""), live)


async def live_feed(function: Callable[[], Gateway], socket: WebSocket) -> None:
    """Serve /ws; functions-framework carries no WebSocket, so the outer shell routes it."""
    gateway = function()
    deps = await gateway.deps.get()
    about = {"http.route": socket.url.path}
    with span("watch", kind=SpanKind.SERVER, trace=context_in(socket.headers), tracer=gateway.tracer, attributes=about):
        await serve_socket(socket, deps.live)


METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
HEADERS = ["X-API-Key", "Content-Type", "Last-Event-ID"]
"""What pages of other origins may use, where any are named."""
OPERATIONS = (
    Operation(
        method="GET",
        path="/",
        handler=get_root,
        summary="Show the dashboard to a browser; tell anybody else that the gateway answers",
        caller=Caller.ANYBODY,
        answers={200: HealthAnswer},
        media_types=("text/html",),
    ),
    Operation(
        method="GET",
        path="/health",
        handler=get_health,
        summary="Tell that the gateway answers",
        caller=Caller.ANYBODY,
        answers={200: HealthAnswer},
    ),
    Operation(
        method="GET",
        path="/openapi.json",
        handler=get_openapi,
        summary="Describe every route",
        caller=Caller.ANYBODY,
        media_types=("application/json",),
    ),
    Operation(
        method="GET",
        path="/docs",
        handler=get_docs,
        summary="Describe every route, for people",
        caller=Caller.ANYBODY,
        media_types=("text/html",),
    ),
    Operation(
        method="GET",
        path="/user/key",
        handler=get_key,
        summary="Tell what the key may do that asks",
        caller=Caller.USER,
        scope=ANY_KEY,
        answers={200: KeyAnswer},
    ),
    Operation(
        method="GET",
        path="/transcripts/{platform}/{native_meeting_id}/stream",
        handler=get_stream,
        summary="Follow a meeting's transcript as Server-Sent Events",
        caller=Caller.USER,
        scope=Scope.READ,
        parameters=(
            Parameter(
                name="Last-Event-ID",
                where="header",
                meaning="Id of the last event seen; without it, what is stored comes first",
                schema={"type": "string"},
            ),
        ),
        media_types=(MEDIA_TYPE,),
    ),
)


def build(settings: GatewaySettings) -> Gateway:
    """Put the function together; nothing is opened yet."""
    deps = Lazy(lambda: open_deps(settings))
    routes = [*routes_of(OPERATIONS), Route("/dashboard/{name}", get_dashboard_file, methods=["GET"])]
    own = Starlette(routes=routes, exception_handlers=dict.fromkeys(answer_errors(), _on_error))
    own.router.redirect_slashes = False
    own.state.deps = deps
    signing_key = settings.token_signing_key.get_secret_value()
    app: ASGIApp = Forwarder(own, table=Table(read_document()), deps=deps.get, signing_key=signing_key)
    if settings.origins:
        app = CORSMiddleware(app, settings.origins, allow_methods=METHODS, allow_headers=HEADERS)
    return Gateway(app, settings=settings, deps=deps)


@cache
def function() -> Gateway:
    """Return this process's one gateway."""
    return build(GatewaySettings.from_env(os.environ))


def _on_error(_: Request, exc: Exception) -> Response:
    return refusal(exc)


async def _deps(request: Request) -> GatewayDeps:
    deps: GatewayDeps = await request.app.state.deps.get()
    return deps

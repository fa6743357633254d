"""The Broker's door: accepts events over HTTP as a Knative Broker's ingress does, and serves the console."""

from collections.abc import Mapping

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from vexa_events.envelope import MAX_EVENT_BYTES, parse_http
from vexa_events.errors import InvalidMessage, NotFound, Overloaded, Unavailable, VexaError
from vexa_local.broker import console
from vexa_local.broker.ingress import Ingress
from vexa_local.broker.resources import BrokerName
from vexa_local.broker.work import Deps

_STATUSES: Mapping[type[VexaError], int] = {InvalidMessage: 400, NotFound: 404, Overloaded: 429, Unavailable: 503}
_COME_AGAIN = {"retry-after": "1"}
_ALLOW = {"allow": "POST, OPTIONS"}
_WEBHOOK = {**_ALLOW, "webhook-allowed-origin": "*", "webhook-allowed-rate": "*"}
"""Leave to post without limit, in the words of the CloudEvents web hook specification."""
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def build(deps: Deps) -> Starlette:
    """Put the door together."""
    app = Starlette(
        routes=[
            Route("/healthz", health),
            Route("/stats", stats),
            *console.ROUTES,
            Route("/{path:path}", ingress, methods=METHODS),
        ],
        exception_handlers=dict.fromkeys(_STATUSES, refuse),
    )
    app.state.deps = deps
    return app


async def ingress(request: Request) -> Response:
    """Answer 202 once the event is on disk."""
    if request.method == "OPTIONS":
        return Response(headers=_WEBHOOK)
    if request.method != "POST":
        return Response(status_code=405, headers=_ALLOW)
    name = _broker_name(request.url.path)
    event = parse_http(request.headers, await _read_bounded(request))
    await _ingress_of(request.app.state.deps, name).take(event)
    return Response(status_code=202, headers=_ALLOW)


async def health(_: Request) -> Response:
    """Tell that the process serves."""
    return PlainTextResponse("ok")


async def stats(request: Request) -> Response:
    """Count, for each Trigger, what became of its events."""
    deps: Deps = request.app.state.deps
    return JSONResponse({name: dict(tally.counts) for name, tally in deps.tallies.items()})


async def refuse(_: Request, error: Exception) -> Response:
    """Translate our errors; the sender reads the reason in the body."""
    status = next(status for kind, status in _STATUSES.items() if isinstance(error, kind))
    return PlainTextResponse(str(error), status_code=status, headers=_COME_AGAIN if status in {429, 503} else None)


def _broker_name(path: str) -> BrokerName:
    """Read `/{namespace}/{broker}`."""
    parts = path.removesuffix("/").split("/")
    if parts == [""]:
        raise NotFound("no Broker is named")
    if len(parts) != 3:
        raise InvalidMessage("a Broker's path is /namespace/name")
    return BrokerName(namespace=parts[1], name=parts[2])


def _ingress_of(deps: Deps, name: BrokerName) -> Ingress:
    if name not in deps.ingresses:
        raise NotFound(f"no Broker {name}")
    return deps.ingresses[name]


async def _read_bounded(request: Request) -> bytes:
    """Read at most one byte more than an event may have; the parser then refuses it."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_EVENT_BYTES:
            break
    return bytes(body[: MAX_EVENT_BYTES + 1])

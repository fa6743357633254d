"""The Broker's door: accepts events over HTTP as a Knative Broker's ingress does."""

import logging
from collections.abc import Mapping
from dataclasses import replace

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from vexa_events.envelope import MAX_EVENT_BYTES, parse_http
from vexa_events.errors import InvalidMessage, NotFound, Overloaded, Unavailable, VexaError
from vexa_local.broker.journal import Journal
from vexa_local.broker.pinger import utc_now
from vexa_local.broker.resources import BrokerName
from vexa_local.broker.work import Deps

logger = logging.getLogger(__name__)

FIRST_TTL = 255
"""How often answers may carry an event round before it is dropped as a loop."""
MAX_BACKLOG = 100_000
"""Entries a Broker keeps unhandled; beyond, producers are asked to come again."""
_STATUSES: Mapping[type[VexaError], int] = {InvalidMessage: 400, NotFound: 404, Overloaded: 429, Unavailable: 503}
_COME_AGAIN = {"retry-after": "1"}


def build(deps: Deps) -> Starlette:
    """Put the door together."""
    app = Starlette(
        routes=[
            Route("/healthz", health),
            Route("/stats", stats),
            Route("/{namespace}/{broker}", accept, methods=["POST"]),
        ],
        exception_handlers=dict.fromkeys(_STATUSES, refuse),
    )
    app.state.deps = deps
    return app


async def accept(request: Request) -> Response:
    """Answer 202 once the event is on disk."""
    deps: Deps = request.app.state.deps
    journal = _journal(deps, request.path_params)
    event = parse_http(request.headers, await _read_bounded(request))
    stamped = replace(event, extensions={**event.extensions, "knativearrivaltime": utc_now().isoformat()})
    if await journal.backlog() >= MAX_BACKLOG:
        raise Overloaded(f"{MAX_BACKLOG} events wait to be delivered")
    await journal.accept(stamped, ttl=FIRST_TTL)
    return Response(status_code=202)


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


def _journal(deps: Deps, path: Mapping[str, str]) -> Journal:
    name = BrokerName(namespace=path["namespace"], name=path["broker"])
    if name not in deps.journals:
        raise NotFound(f"no Broker {name}")
    return deps.journals[name]


async def _read_bounded(request: Request) -> bytes:
    """Read at most one byte more than an event may have; the parser then refuses it."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_EVENT_BYTES:
            break
    return bytes(body[: MAX_EVENT_BYTES + 1])

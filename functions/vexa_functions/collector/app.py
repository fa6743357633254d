"""The collector: takes events at /events, answers readers at /transcripts and /meetings."""

import logging
import os
from collections.abc import Awaitable, Callable
from functools import cache

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from vexa_events.envelope import Event, parse_http
from vexa_events.errors import InvalidMessage
from vexa_events.identity import BotStatus
from vexa_events.lifecycle import StreamAttributed
from vexa_events.registry import STREAM_ATTRIBUTED, TRANSCRIPT_COMMITTED, bot_type, read_data
from vexa_events.transcript import TranscriptCommitted
from vexa_functions.auth.identity import verify_identity
from vexa_functions.collector.deps import CollectorDeps, open_deps
from vexa_functions.collector.reader import list_meetings, read_transcript
from vexa_functions.collector.settings import CollectorSettings
from vexa_functions.hosting.door import answer_errors, read_body
from vexa_functions.hosting.function import Function
from vexa_functions.hosting.lazy import Lazy
from vexa_functions.hosting.parameters import row_id_in_query

logger = logging.getLogger(__name__)

NO_CONTENT = 204


async def take_event(request: Request) -> Response:
    """
    Handle one event; 204 with an empty body is what a Broker takes as success.

    Effects raise InvalidMessage (dead letter) or Unavailable (retry) only: the
    statuses of NotFound and Conflict would be retried, which heals neither.
    """
    event = parse_http(request.headers, await read_body(request))
    effect = EFFECT_BY_TYPE.get(event.type)
    if effect is None:
        raise InvalidMessage(f"the collector does not take {event.type}")
    await effect(await _deps(request), event)
    return Response(status_code=NO_CONTENT)


async def tick(request: Request) -> Response:
    """Do what is due."""
    await (await _deps(request)).finalizer.sweep()
    return Response(status_code=NO_CONTENT)


async def get_transcript(request: Request) -> Response:
    """GET /transcripts/{platform}/{native_meeting_id}[?meeting_id=N]"""
    deps = await _deps(request)
    principal = verify_identity(request, key=deps.signing_key)
    platform, native_meeting_id = request.path_params["platform"], request.path_params["native_meeting_id"]
    meeting_id = row_id_in_query(request, "meeting_id")
    return JSONResponse(
        await read_transcript(deps.store, principal.user_id, platform, native_meeting_id, meeting_id=meeting_id)
    )


async def get_meetings(request: Request) -> Response:
    """GET /meetings"""
    deps = await _deps(request)
    principal = verify_identity(request, key=deps.signing_key)
    return JSONResponse(await list_meetings(deps.store, principal.user_id))


def build(settings: CollectorSettings) -> Function:
    """Put the function together; nothing is opened yet."""
    deps = Lazy(lambda: open_deps(settings))
    app = Starlette(
        routes=[
            Route("/events", take_event, methods=["POST"]),
            Route("/internal/tick", tick, methods=["POST"]),
            Route("/transcripts/{platform}/{native_meeting_id}", get_transcript, methods=["GET"]),
            Route("/meetings", get_meetings, methods=["GET"]),
        ],
        exception_handlers=answer_errors(),
    )
    app.state.deps = deps
    return Function(app=app, log_level=settings.log_level, aclose=deps.aclose)


@cache
def function() -> Function:
    """Return this process's one collector."""
    return build(CollectorSettings.from_env(os.environ))


async def _store_batch(deps: CollectorDeps, event: Event) -> None:
    await deps.ingest.take_batch(read_data(event, TranscriptCommitted))


async def _repaint(deps: CollectorDeps, event: Event) -> None:
    await deps.ingest.take_attribution(read_data(event, StreamAttributed))


async def _finalize(deps: CollectorDeps, _: Event) -> None:
    await deps.finalizer.sweep()


EFFECT_BY_TYPE: dict[str, Callable[[CollectorDeps, Event], Awaitable[None]]] = {
    TRANSCRIPT_COMMITTED: _store_batch,
    STREAM_ATTRIBUTED: _repaint,
    bot_type(BotStatus.COMPLETED): _finalize,
    bot_type(BotStatus.FAILED): _finalize,
}


async def _deps(request: Request) -> CollectorDeps:
    deps: CollectorDeps = await request.app.state.deps.get()
    return deps

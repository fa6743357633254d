"""The bots function: users' requests at /bots, bots' callbacks at /internal."""

import os
from functools import cache

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from vexa_events.callbacks import Attribution, Heartbeat, OpenEpoch, StatusReport
from vexa_events.errors import Forbidden, Unauthenticated
from vexa_events.session_token import SessionClaims, verify_session_token
from vexa_functions.auth.identity import Principal, verify_identity
from vexa_functions.bots.deps import BotsDeps, open_deps
from vexa_functions.bots.requests import BotRequest, ConfigRequest
from vexa_functions.bots.settings import BotsSettings
from vexa_functions.hosting.door import answer_errors, read_model
from vexa_functions.hosting.function import Function
from vexa_functions.hosting.lazy import Lazy


async def post_bot(request: Request) -> Response:
    """POST /bots"""
    deps, principal = await _user_call(request)
    wanted = await read_model(request, BotRequest)
    return JSONResponse(await deps.service.request_bot(principal.user_id, wanted), 201)


async def delete_bot(request: Request) -> Response:
    """DELETE /bots/{platform}/{native_meeting_id}"""
    deps, principal = await _user_call(request)
    await deps.service.stop_bot(principal.user_id, *_meeting_path(request))
    return JSONResponse({"message": "Stop request accepted and is being processed."}, 202)


async def get_status(request: Request) -> Response:
    """GET /bots/status"""
    deps, principal = await _user_call(request)
    return JSONResponse(await deps.service.running_bots(principal.user_id))


async def put_config(request: Request) -> Response:
    """PUT /bots/{platform}/{native_meeting_id}/config"""
    deps, principal = await _user_call(request)
    wanted = await read_model(request, ConfigRequest)
    await deps.service.configure_bot(principal.user_id, *_meeting_path(request), wanted)
    return JSONResponse({"message": "Reconfiguration request accepted."}, 202)


async def post_epoch(request: Request) -> Response:
    """POST /internal/sessions/{session_uid}/epochs"""
    deps, claims = await _bot_call(request)
    opened = await deps.callbacks.open_epoch(claims, await read_model(request, OpenEpoch))
    return Response(opened.model_dump_json(), media_type="application/json")


async def post_heartbeat(request: Request) -> Response:
    """POST /internal/sessions/{session_uid}/heartbeats"""
    deps, claims = await _bot_call(request)
    answer = await deps.callbacks.heartbeat(claims, await read_model(request, Heartbeat))
    return Response(answer.model_dump_json(exclude_none=True), media_type="application/json")


async def post_status(request: Request) -> Response:
    """POST /internal/sessions/{session_uid}/statuses"""
    deps, claims = await _bot_call(request)
    await deps.callbacks.report_status(claims, await read_model(request, StatusReport))
    return Response(status_code=204)


async def post_attribution(request: Request) -> Response:
    """POST /internal/sessions/{session_uid}/attributions"""
    deps, claims = await _bot_call(request)
    await deps.callbacks.attribute(claims, await read_model(request, Attribution))
    return Response(status_code=204)


async def tick(request: Request) -> Response:
    """POST /internal/tick"""
    await (await _deps(request)).reconciler.sweep()
    return Response(status_code=204)


def build(settings: BotsSettings) -> Function:
    """Put the function together; nothing is opened yet."""
    deps = Lazy(lambda: open_deps(settings))
    session = "/internal/sessions/{session_uid}"
    app = Starlette(
        routes=[
            Route("/bots", post_bot, methods=["POST"]),
            Route("/bots/status", get_status, methods=["GET"]),
            Route("/bots/{platform}/{native_meeting_id}", delete_bot, methods=["DELETE"]),
            Route("/bots/{platform}/{native_meeting_id}/config", put_config, methods=["PUT"]),
            Route(session + "/epochs", post_epoch, methods=["POST"]),
            Route(session + "/heartbeats", post_heartbeat, methods=["POST"]),
            Route(session + "/statuses", post_status, methods=["POST"]),
            Route(session + "/attributions", post_attribution, methods=["POST"]),
            Route("/internal/tick", tick, methods=["POST"]),
        ],
        exception_handlers=answer_errors(),
    )
    app.state.deps = deps
    return Function(app=app, log_level=settings.log_level, aclose=deps.aclose)


@cache
def function() -> Function:
    """Return this process's one bots function."""
    return build(BotsSettings.from_env(os.environ))


async def _deps(request: Request) -> BotsDeps:
    deps: BotsDeps = await request.app.state.deps.get()
    return deps


async def _user_call(request: Request) -> tuple[BotsDeps, Principal]:
    deps = await _deps(request)
    return deps, verify_identity(request, key=deps.signing_key)


async def _bot_call(request: Request) -> tuple[BotsDeps, SessionClaims]:
    deps = await _deps(request)
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthenticated("a session token is needed: Authorization: Bearer …")
    claims = verify_session_token(token, key=deps.signing_key)
    if claims.session_uid != request.path_params["session_uid"]:
        raise Forbidden("the token belongs to another session")
    return deps, claims


def _meeting_path(request: Request) -> tuple[str, str]:
    return request.path_params["platform"], request.path_params["native_meeting_id"]

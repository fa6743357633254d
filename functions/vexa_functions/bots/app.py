"""The bots function: users' requests at /bots, bots' callbacks at /internal."""

import os
from functools import cache

from starlette.requests import Request
from starlette.responses import Response

from vexa_events.callbacks import (
    Attribution,
    EpochOpened,
    Heartbeat,
    HeartbeatAnswer,
    OpenEpoch,
    SpeakerHints,
    StatusReport,
)
from vexa_events.errors import Forbidden, Unauthenticated
from vexa_events.session_token import SessionClaims, verify_session_token
from vexa_functions.answers import MeetingAnswer, MessageAnswer
from vexa_functions.auth.calls import user_call
from vexa_functions.auth.scopes import Scope
from vexa_functions.bots.answers import RunningBotsAnswer
from vexa_functions.bots.deps import BotsDeps, open_deps
from vexa_functions.bots.requests import BotRequest, ConfigRequest
from vexa_functions.bots.settings import BotsSettings
from vexa_functions.hosting.door import answer, read_model
from vexa_functions.hosting.function import Function
from vexa_functions.hosting.operations import Caller, Operation, Parameter, tick_operation
from vexa_functions.hosting.parameters import text_in_path
from vexa_functions.hosting.serving import deps_of, put_together


async def post_bot(request: Request) -> Response:
    """POST /bots"""
    deps, principal = await user_call(request, BotsDeps)
    wanted = await read_model(request, BotRequest)
    key = request.headers.get("idempotency-key")
    return answer(await deps.service.request_bot(principal.user_id, wanted, idempotency_key=key), 201)


async def delete_bot(request: Request) -> Response:
    """DELETE /bots/{platform}/{native_meeting_id}"""
    deps, principal = await user_call(request, BotsDeps)
    await deps.service.stop_bot(principal.user_id, *_meeting_path(request))
    return answer(MessageAnswer(message="Stop request accepted and is being processed."), 202)


async def get_status(request: Request) -> Response:
    """GET /bots/status"""
    deps, principal = await user_call(request, BotsDeps)
    return answer(await deps.service.running_bots(principal.user_id))


async def put_config(request: Request) -> Response:
    """PUT /bots/{platform}/{native_meeting_id}/config"""
    deps, principal = await user_call(request, BotsDeps)
    wanted = await read_model(request, ConfigRequest)
    await deps.service.configure_bot(principal.user_id, *_meeting_path(request), wanted)
    return answer(MessageAnswer(message="Reconfiguration request accepted."), 202)


async def post_epoch(request: Request) -> Response:
    """POST /internal/sessions/{session_uid}/epochs"""
    deps, claims = await _bot_call(request)
    return answer(await deps.callbacks.open_epoch(claims, await read_model(request, OpenEpoch)))


async def post_heartbeat(request: Request) -> Response:
    """POST /internal/sessions/{session_uid}/heartbeats"""
    deps, claims = await _bot_call(request)
    beat = await read_model(request, Heartbeat)
    orders = await deps.callbacks.heartbeat(claims, beat, token=_bearer(request))
    return Response(orders.model_dump_json(exclude_none=True), media_type="application/json")


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


async def post_hints(request: Request) -> Response:
    """POST /internal/sessions/{session_uid}/hints"""
    deps, claims = await _bot_call(request)
    await deps.callbacks.hint(claims, await read_model(request, SpeakerHints))
    return Response(status_code=204)


async def tick(request: Request) -> Response:
    """POST /internal/tick"""
    await (await deps_of(request, BotsDeps)).reconciler.sweep()
    return Response(status_code=204)


SESSION = "/internal/sessions/{session_uid}"
MEETING = "/bots/{platform}/{native_meeting_id}"
IDEMPOTENCY_KEY = Parameter(
    name="Idempotency-Key",
    meaning="Names this request: sent again, it is answered with the meeting that it made, and makes no second one.",
    schema={"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
    where="header",
)
OPERATIONS = (
    Operation(
        method="POST",
        path="/bots",
        handler=post_bot,
        summary="Send a bot to a meeting",
        caller=Caller.USER,
        scope=Scope.BOTS,
        parameters=(IDEMPOTENCY_KEY,),
        body=BotRequest,
        answers={201: MeetingAnswer},
        errors=(409,),
    ),
    Operation(
        method="GET",
        path="/bots/status",
        handler=get_status,
        summary="List the bots that have not ended",
        caller=Caller.USER,
        scope=Scope.BOTS,
        answers={200: RunningBotsAnswer},
    ),
    Operation(
        method="DELETE",
        path=MEETING,
        handler=delete_bot,
        summary="Tell a bot to leave; saying it again is accepted as well",
        caller=Caller.USER,
        scope=Scope.BOTS,
        answers={202: MessageAnswer},
        errors=(404, 422),
    ),
    Operation(
        method="PUT",
        path=MEETING + "/config",
        handler=put_config,
        summary="Change the language or the task of an active bot",
        caller=Caller.USER,
        scope=Scope.BOTS,
        body=ConfigRequest,
        answers={202: MessageAnswer},
        errors=(404, 409),
    ),
    Operation(
        method="POST",
        path=SESSION + "/epochs",
        handler=post_epoch,
        summary="Open the next epoch of a stream",
        caller=Caller.BOT,
        body=OpenEpoch,
        answers={200: EpochOpened},
    ),
    Operation(
        method="POST",
        path=SESSION + "/heartbeats",
        handler=post_heartbeat,
        summary="Show a sign of life and read the orders in force",
        caller=Caller.BOT,
        body=Heartbeat,
        answers={200: HeartbeatAnswer},
    ),
    Operation(
        method="POST",
        path=SESSION + "/statuses",
        handler=post_status,
        summary="Report a state",
        caller=Caller.BOT,
        body=StatusReport,
        answers={204: None},
    ),
    Operation(
        method="POST",
        path=SESSION + "/attributions",
        handler=post_attribution,
        summary="Tell who speaks in a stream",
        caller=Caller.BOT,
        body=Attribution,
        answers={204: None},
    ),
    Operation(
        method="POST",
        path=SESSION + "/hints",
        handler=post_hints,
        summary="Tell who is shown as speaking",
        caller=Caller.BOT,
        body=SpeakerHints,
        answers={204: None},
    ),
    tick_operation(tick),
)


def build(settings: BotsSettings) -> Function:
    """Put the function together; nothing is opened yet."""
    return put_together("bots", OPERATIONS, open_deps, settings)


@cache
def function() -> Function:
    """Return this process's one bots function."""
    return build(BotsSettings.from_env(os.environ))


async def _bot_call(request: Request) -> tuple[BotsDeps, SessionClaims]:
    deps = await deps_of(request, BotsDeps)
    claims = verify_session_token(_bearer(request), key=deps.signing_key)
    if claims.session_uid != request.path_params["session_uid"]:
        raise Forbidden("the token belongs to another session")
    return deps, claims


def _bearer(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthenticated("a session token is needed: Authorization: Bearer …")
    return token


def _meeting_path(request: Request) -> tuple[str, str]:
    return text_in_path(request, "platform"), text_in_path(request, "native_meeting_id")

"""The webhooks function: takes events at /events, answers users at /user/webhook."""

import os
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import get_args

from starlette.requests import Request
from starlette.responses import Response

from vexa_functions.answers import UserAnswer
from vexa_functions.auth.calls import user_call
from vexa_functions.auth.scopes import Scope
from vexa_functions.hosting.door import answer, read_model
from vexa_functions.hosting.events import read_event
from vexa_functions.hosting.function import Function
from vexa_functions.hosting.metrics import counted
from vexa_functions.hosting.operations import Caller, Operation, Parameter, tick_operation
from vexa_functions.hosting.parameters import choice_in_query, number_in_query, row_id_in_path, row_id_in_query
from vexa_functions.hosting.serving import deps_of, put_together
from vexa_functions.store.tables import Store, open_store
from vexa_functions.webhooks import service
from vexa_functions.webhooks.answers import DeliveriesAnswer, DeliveryAnswer, DeliveryStatus, WebhookAnswer
from vexa_functions.webhooks.courier import Courier
from vexa_functions.webhooks.receivers import Receivers
from vexa_functions.webhooks.requests import WebhookRequest
from vexa_functions.webhooks.settings import WebhooksSettings

NO_CONTENT = 204
STATUSES = get_args(DeliveryStatus)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhooksDeps:
    """The function's graph."""

    store: Store
    courier: Courier
    signing_key: str
    allow_loopback: bool


@asynccontextmanager
async def open_deps(settings: WebhooksSettings) -> AsyncIterator[WebhooksDeps]:
    """Put the function together."""
    async with (
        open_store(str(settings.database_url), max_connections=settings.max_connections) as store,
        aclosing(Receivers(timeout_s=settings.timeout_s, allow_loopback=settings.allow_loopback)) as receivers,
    ):
        yield WebhooksDeps(
            store=store,
            courier=Courier(store, receivers),
            signing_key=settings.token_signing_key.get_secret_value(),
            allow_loopback=settings.allow_loopback,
        )


async def take_event(request: Request) -> Response:
    """Tell the user of an event; 204 with an empty body is what a Broker takes as success."""
    event = await read_event(request)
    deps = await deps_of(request, WebhooksDeps)
    with counted(event.type):
        await service.take_fact(deps.store, deps.courier, event)
    return Response(status_code=NO_CONTENT)


async def tick(request: Request) -> Response:
    """Do what is due."""
    deps = await deps_of(request, WebhooksDeps)
    await service.sweep(deps.store, deps.courier)
    return Response(status_code=NO_CONTENT)


async def put_webhook(request: Request) -> Response:
    """PUT /user/webhook"""
    deps, principal = await user_call(request, WebhooksDeps)
    wanted = await read_model(request, WebhookRequest)
    return answer(await service.put_webhook(deps.store, principal.user_id, wanted, allow_loopback=deps.allow_loopback))


async def get_webhook(request: Request) -> Response:
    """GET /user/webhook"""
    deps, principal = await user_call(request, WebhooksDeps)
    return answer(await service.get_webhook(deps.store, principal.user_id))


async def delete_webhook(request: Request) -> Response:
    """DELETE /user/webhook"""
    deps, principal = await user_call(request, WebhooksDeps)
    await service.delete_webhook(deps.store, principal.user_id)
    return Response(status_code=NO_CONTENT)


async def get_deliveries(request: Request) -> Response:
    """GET /user/webhooks/deliveries?limit=50&before=N&status=failed"""
    deps, principal = await user_call(request, WebhooksDeps)
    return answer(
        await service.list_deliveries(
            deps.store,
            principal.user_id,
            before_id=row_id_in_query(request, "before"),
            status=choice_in_query(request, "status", STATUSES),
            limit=number_in_query(request, "limit", default=50, least=1, most=500),
        )
    )


async def post_redelivery(request: Request) -> Response:
    """POST /user/webhooks/deliveries/{id}/redeliver"""
    deps, principal = await user_call(request, WebhooksDeps)
    delivery = await service.redeliver(deps.store, deps.courier, principal.user_id, row_id_in_path(request))
    return answer(delivery, 202)


OPERATIONS = (
    Operation(
        method="PUT",
        path="/user/webhook",
        handler=put_webhook,
        summary="Set where you are told what happens to your meetings",
        caller=Caller.USER,
        scope=Scope.USER,
        body=WebhookRequest,
        answers={200: UserAnswer},
    ),
    Operation(
        method="GET",
        path="/user/webhook",
        handler=get_webhook,
        summary="Read where you are told",
        caller=Caller.USER,
        scope=Scope.USER,
        answers={200: WebhookAnswer},
        errors=(404,),
    ),
    Operation(
        method="DELETE",
        path="/user/webhook",
        handler=delete_webhook,
        summary="Be told nothing more; what is pending is cancelled",
        caller=Caller.USER,
        scope=Scope.USER,
        answers={204: None},
    ),
    Operation(
        method="GET",
        path="/user/webhooks/deliveries",
        handler=get_deliveries,
        summary="List what you were told, and how each delivery goes",
        caller=Caller.USER,
        scope=Scope.USER,
        parameters=(
            Parameter(
                name="limit",
                meaning="How many at most",
                schema={"type": "integer", "minimum": 1, "maximum": 500, "default": 50},
            ),
            Parameter(name="before", meaning="Only those before this id", schema={"type": "integer", "minimum": 0}),
            Parameter(
                name="status", meaning="Only those in this state", schema={"type": "string", "enum": list(STATUSES)}
            ),
        ),
        answers={200: DeliveriesAnswer},
    ),
    Operation(
        method="POST",
        path="/user/webhooks/deliveries/{id}/redeliver",
        handler=post_redelivery,
        summary="Try a delivery again now, with the same event_id",
        caller=Caller.USER,
        scope=Scope.USER,
        answers={202: DeliveryAnswer},
        errors=(404, 409),
    ),
    Operation(
        method="POST",
        path="/events",
        handler=take_event,
        summary="Take one event from the Broker",
        caller=Caller.BROKER,
        answers={204: None},
    ),
    tick_operation(tick),
)


def build(settings: WebhooksSettings) -> Function:
    """Put the function together; nothing is opened yet."""
    return put_together("webhooks", OPERATIONS, open_deps, settings)


@cache
def function() -> Function:
    """Return this process's one webhooks function."""
    return build(WebhooksSettings.from_env(os.environ))

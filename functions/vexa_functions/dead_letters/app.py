"""The dead letter function: the Broker's dead letter sink, and the administrator's view of it."""

import os
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from functools import cache

from starlette.requests import Request
from starlette.responses import Response

from vexa_functions.answers import MessageAnswer
from vexa_functions.auth.calls import admin_call
from vexa_functions.dead_letters import service
from vexa_functions.dead_letters.answers import DeadLettersAnswer
from vexa_functions.dead_letters.salvage import read_letter
from vexa_functions.dead_letters.settings import DeadLettersSettings
from vexa_functions.hosting.door import answer, read_body
from vexa_functions.hosting.events import handle
from vexa_functions.hosting.function import Function
from vexa_functions.hosting.operations import Caller, Operation, Parameter
from vexa_functions.hosting.parameters import (
    MAX_ROW_ID,
    choice_in_query,
    number_in_query,
    row_id_in_path,
    row_id_in_query,
    text_in_query,
)
from vexa_functions.hosting.serving import deps_of, put_together
from vexa_functions.sink import Publisher, Sink
from vexa_functions.store.tables import Store, open_store


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLettersDeps:
    """The function's graph."""

    store: Store
    publisher: Publisher
    admin_key: str


@asynccontextmanager
async def open_deps(settings: DeadLettersSettings) -> AsyncIterator[DeadLettersDeps]:
    """Put the function together."""
    async with (
        open_store(str(settings.database_url), max_connections=settings.max_connections) as store,
        aclosing(Sink(str(settings.sink), token_file=settings.sink_token_file)) as sink,
    ):
        yield DeadLettersDeps(
            store=store,
            publisher=sink,
            admin_key=settings.admin_api_key.get_secret_value(),
        )


async def post_letter(request: Request) -> Response:
    """Take one dead letter from the Broker."""
    deps = await deps_of(request, DeadLettersDeps)
    letter = read_letter(request.headers, await read_body(request))
    handle(letter.event)
    await service.keep(deps.store, letter)
    return Response(status_code=204)


async def get_letters(request: Request) -> Response:
    """GET /admin/dead-letters?limit=50&before=N&type=T&redriven=true"""
    deps = await admin_call(request, DeadLettersDeps)
    return answer(
        await service.list_letters(
            deps.store,
            before_id=row_id_in_query(request, "before"),
            event_type=text_in_query(request, "type"),
            with_redriven=choice_in_query(request, "redriven", ("true", "false")) == "true",
            limit=number_in_query(request, "limit", default=50, least=1, most=500),
        )
    )


async def post_redrive(request: Request) -> Response:
    """POST /admin/dead-letters/{id}/redrive"""
    deps = await admin_call(request, DeadLettersDeps)
    return answer(await service.redrive(deps.store, deps.publisher, row_id_in_path(request)), 202)


OPERATIONS = (
    Operation(
        method="POST",
        path="/",
        handler=post_letter,
        summary="Take one dead letter from the Broker",
        caller=Caller.BROKER,
        answers={204: None},
    ),
    Operation(
        method="GET",
        path="/admin/dead-letters",
        handler=get_letters,
        summary="List the events that no subscriber took, newest first",
        caller=Caller.ADMINISTRATOR,
        parameters=(
            Parameter(
                name="limit",
                meaning="How many",
                schema={"type": "integer", "minimum": 1, "maximum": 500, "default": 50},
            ),
            Parameter(
                name="before",
                meaning="Only older ones than this id",
                schema={"type": "integer", "minimum": 0, "maximum": MAX_ROW_ID},
            ),
            Parameter(
                name="type",
                meaning="Only events of this type",
                schema={"type": "string", "minLength": 1, "maxLength": 255},
            ),
            Parameter(name="redriven", meaning="Also those that were sent again", schema={"enum": ["true", "false"]}),
        ),
        answers={200: DeadLettersAnswer},
    ),
    Operation(
        method="POST",
        path="/admin/dead-letters/{id}/redrive",
        handler=post_redrive,
        summary="Send an event to the Broker again",
        caller=Caller.ADMINISTRATOR,
        answers={202: MessageAnswer},
        errors=(404, 409),
    ),
)


def build(settings: DeadLettersSettings) -> Function:
    """Put the function together; nothing is opened yet."""
    return put_together("dead-letters", OPERATIONS, open_deps, settings)


@cache
def function() -> Function:
    """Return this process's one dead letter function."""
    return build(DeadLettersSettings.from_env(os.environ))

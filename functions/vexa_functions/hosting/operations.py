"""
One description for each route: what serves it, who may call it, what goes in, what comes out.

An app builds its routes from its operations, and the OpenAPI of the public
surface is generated from the same objects, so neither can drift from the other.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


class Caller(StrEnum):
    """Whose credential an operation asks for."""

    ANYBODY = "anybody"
    USER = "user"
    ADMINISTRATOR = "administrator"
    BOT = "bot"
    """A session's token; never public."""
    BROKER = "broker"
    """Reached only from inside; never public."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One value in the query string or a header."""

    name: str
    meaning: str
    schema: Mapping[str, Any]
    """JSON Schema."""
    where: str = "query"
    is_required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one path."""

    method: str
    path: str
    handler: Callable[[Request], Awaitable[Response]]
    summary: str
    caller: Caller
    scope: str | None = None
    """One of auth.scopes, or ANY_KEY; None where only a key for everything will do."""
    parameters: tuple[Parameter, ...] = ()
    body: type[BaseModel] | None = None
    body_is_optional: bool = False
    answers: Mapping[int, type[BaseModel] | None] = field(default_factory=lambda: {200: None})
    """Model by status of success; None where the body is empty or not JSON."""
    media_types: tuple[str, ...] = ()
    """Beside JSON, in which forms the answer may be asked for."""
    errors: tuple[int, ...] = ()
    """Statuses beside those that the caller's credential and a bad body imply."""

    @property
    def is_public(self) -> bool:
        return self.caller not in {Caller.BOT, Caller.BROKER}


def tick_operation(handler: Callable[[Request], Awaitable[Response]]) -> Operation:
    """Describe the route that PingSources post to."""
    return Operation(
        method="POST",
        path="/internal/tick",
        handler=handler,
        summary="Do what is due",
        caller=Caller.BROKER,
        answers={204: None},
    )


def routes_of(operations: Iterable[Operation]) -> list[Route]:
    """Build the routes of an app, in the order given: a fixed path goes before one that would swallow it."""
    return [Route(operation.path, operation.handler, methods=[operation.method]) for operation in operations]

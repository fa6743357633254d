"""What every door does alike: read a JSON body, and answer errors from one table."""

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ExceptionHandler

from vexa_events.errors import (
    Conflict,
    Forbidden,
    InvalidMessage,
    NotFound,
    Overloaded,
    TooLarge,
    Unauthenticated,
    Unavailable,
    VexaError,
)
from vexa_events.faults import faults

M = TypeVar("M", bound=BaseModel)

MAX_BODY_BYTES = 1024 * 1024
RETRY_AFTER_S = 2

STATUS_BY_ERROR: Mapping[type, int] = {
    InvalidMessage: 422,
    TooLarge: 413,
    Unauthenticated: 401,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    Overloaded: 503,
    Unavailable: 503,
}


async def read_body(request: Request) -> bytes:
    """Read a bounded body; raise TooLarge past the bound."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise TooLarge(f"body: is over the limit of {MAX_BODY_BYTES} bytes")
    return bytes(body)


async def read_model(request: Request, model: type[M], *, empty: M | None = None) -> M:
    """Read the body as a model; raise InvalidMessage naming every faulty field. `empty` stands for no body."""
    body = await read_body(request)
    if not body and empty is not None:
        return empty
    try:
        return model.model_validate(json.loads(body, object_pairs_hook=_unique, parse_constant=_refuse_constant))
    except ValidationError as exc:
        raise InvalidMessage(faults(exc)) from exc
    except (ValueError, RecursionError) as exc:
        raise InvalidMessage(f"body: {_unreadable(exc)}") from exc


def answer(model: BaseModel, status: int = 200, *, headers: Mapping[str, str] | None = None) -> Response:
    """Answer a model as JSON."""
    return Response(model.model_dump_json(), status, headers=headers, media_type="application/json")


def error_answer(exc: Exception) -> Response:
    """Answer what was raised on purpose; anything else as a defect."""
    if isinstance(exc, HTTPException):
        return JSONResponse({"detail": exc.detail}, exc.status_code, headers=exc.headers)
    status = next((STATUS_BY_ERROR[kind] for kind in type(exc).__mro__ if kind in STATUS_BY_ERROR), None)
    if status is None:
        return JSONResponse({"detail": "Internal error"}, 500)
    headers = {"Retry-After": str(RETRY_AFTER_S)} if status == 503 else None
    detail = str(exc).encode("utf-8", "backslashreplace").decode()
    return JSONResponse({"detail": detail}, status, headers=headers)


def answer_errors() -> dict[Any, ExceptionHandler]:
    """Return the exception handlers of a Starlette app."""
    return {VexaError: _on_error, HTTPException: _on_error, Exception: _on_error}


def _on_error(_: Request, exc: Exception) -> Response:
    return error_answer(exc)


def _unreadable(exc: ValueError | RecursionError) -> str:
    match exc:
        case RecursionError():
            return "is nested too deeply"
        case UnicodeDecodeError():
            return f"is not UTF-8: byte {exc.start} cannot be read"
        case json.JSONDecodeError():
            return f"is not JSON: {exc}"
        case _:
            return "holds a number with too many digits"


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object; two readers of a name that is given twice might see different values."""
    built = dict(pairs)
    if len(built) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidMessage(f"{twice[:100]}: is given twice")
    return built


def _refuse_constant(name: str) -> Any:
    raise InvalidMessage(f"body: is not JSON: {name}")

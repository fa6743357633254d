"""A defect of a function, seen by its caller and in its log."""

import io
import json
import logging
from collections.abc import Iterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from vexa_events.logs import JsonLines
from vexa_functions.hosting.door import answer_errors
from vexa_functions.hosting.function import Function
from vexa_functions.hosting.settings import Settings
from vexa_functions.hosting.shell import Shell


async def fail(_: Request) -> Response:
    raise RuntimeError("a defect")


async def close() -> None:
    """Nothing was opened."""


def function() -> Function:
    app = Starlette(routes=[Route("/fail", fail)], exception_handlers=answer_errors())
    return Function(name="test", app=app, settings=Settings(), aclose=close)


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What the process writes, one JSON object a line."""
    lines = io.StringIO()
    handler = logging.StreamHandler(lines)
    handler.setFormatter(JsonLines())
    logging.getLogger().addHandler(handler)
    yield lines
    logging.getLogger().removeHandler(handler)


@pytest.mark.parametrize("is_in_shell", [True, False], ids=["in its shell", "alone"])
async def test_a_defect_is_one_line_with_the_id_that_the_caller_has(log: io.StringIO, is_in_shell: bool) -> None:
    """The server does not tell it again, and the caller hears no more than that there is one."""
    app = Shell(function) if is_in_shell else function().app
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://function") as client:
        answer = await client.get("/fail", headers={"x-request-id": "order-7"})

    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    assert (answer.status_code, answer.json()) == (500, {"detail": "Internal error"})
    assert answer.headers["x-request-id"] == "order-7"
    assert [(line["level"], line["request_id"]) for line in lines] == [("ERROR", "order-7")]
    assert lines[0]["traceback"].count("Traceback (most recent call last)") == 1
    assert "a defect" in lines[0]["traceback"]

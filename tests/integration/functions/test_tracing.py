"""A request's trace, as it goes on from the gateway; and what a receiver of spans that hangs costs: nothing."""

import asyncio
import re
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from tests.waiting import DEADLINE_S, eventually

from vexa_events.trace_context import read_context
from vexa_functions.admin.app import build as build_admin
from vexa_functions.admin.settings import AdminSettings
from vexa_functions.hosting.metrics import SPANS

from .conftest import Serve, StartGateway

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = f"00-{TRACE_ID}-00f067aa0ba902b7-01"
ADMIN_KEY = "an administrator key for tests"
MADE_HERE = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]")


class Hanging:
    """Takes connections, and never answers."""

    def __init__(self) -> None:
        self.connections: list[asyncio.StreamWriter] = []
        self.url = ""

    async def take(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.append(writer)


@pytest.fixture
async def hanging() -> AsyncIterator[Hanging]:
    """A receiver of spans in trouble."""
    receiver = Hanging()
    async with await asyncio.start_server(receiver.take, "127.0.0.1", 0) as server:
        receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield receiver
        for writer in receiver.connections:
            writer.transport.abort()


@pytest.fixture
async def behind(serve: Serve) -> str:
    """What stands behind the gateway: it tells the headers that it got."""

    async def tell(request: Request) -> Response:
        return JSONResponse(dict(request.headers))

    return await serve(Starlette(routes=[Route("/admin/users", tell)]))


async def headers_behind(gateway: str, **headers: str) -> dict[str, str]:
    """Ask the gateway for what is forwarded; return what came to whom it was forwarded to."""
    async with httpx.AsyncClient(base_url=gateway, timeout=DEADLINE_S) as client:
        answer = await client.get("/admin/users", headers={"x-admin-api-key": ADMIN_KEY, **headers})
    assert answer.status_code == 200, answer.text
    told: dict[str, str] = answer.json()
    return told


async def test_a_callers_trace_goes_on_as_part_of_what_the_gateway_does(
    start_gateway: StartGateway, behind: str, hanging: Hanging
) -> None:
    """The function behind hangs on the gateway's span, and that one on the caller's."""
    gateway = await start_gateway(ADMIN_API_URL=behind, OTEL_EXPORTER_OTLP_ENDPOINT=hanging.url)

    told = await headers_behind(gateway, traceparent=CALLER, tracestate="theirs=1")

    context = read_context(told["traceparent"], told["tracestate"])
    assert context is not None
    assert (context.trace_id, context.is_sampled, context.state) == (TRACE_ID, True, "theirs=1")
    assert told["traceparent"] != CALLER


async def test_where_nothing_is_exported_the_callers_context_passes_unchanged(
    start_gateway: StartGateway, behind: str
) -> None:
    """A span that nobody records must be nobody's parent."""
    gateway = await start_gateway(ADMIN_API_URL=behind)

    assert (await headers_behind(gateway, traceparent=CALLER))["traceparent"] == CALLER


@pytest.mark.parametrize("given", [None, "00-nonsense-01", f"00-{'0' * 32}-00f067aa0ba902b7-01"])
async def test_without_a_trace_the_gateway_begins_one(
    start_gateway: StartGateway, behind: str, given: str | None
) -> None:
    """What is no context counts as none, and what comes with it is dropped."""
    gateway = await start_gateway(ADMIN_API_URL=behind)
    headers = {} if given is None else {"traceparent": given, "tracestate": "theirs=1"}

    told = await headers_behind(gateway, **headers)

    assert MADE_HERE.fullmatch(told["traceparent"])
    assert told["traceparent"].endswith("-00")
    assert "tracestate" not in told


async def test_a_receiver_that_hangs_costs_no_request_anything(postgres_url: str, hanging: Hanging) -> None:
    """Requests are answered while it holds the first spans; the end of the process waits for a bounded time."""
    env = {"DATABASE_URL": postgres_url, "ADMIN_API_KEY": ADMIN_KEY, "OTEL_EXPORTER_OTLP_ENDPOINT": hanging.url}
    function = build_admin(AdminSettings.from_env(env))
    dropped = SPANS.by_labels.get(("dropped",), 0.0)
    headers = {"x-admin-api-key": ADMIN_KEY}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(function.app), base_url="http://function") as client:
        await client.get("/admin/users", headers=headers)
        await eventually(lambda: hanging.connections)

        answers = [await client.get("/admin/users", headers=headers) for _ in range(20)]

    assert {answer.status_code for answer in answers} == {200}
    await function.aclose()
    assert SPANS.by_labels[("dropped",)] - dropped == 21

"""Whose work it is to handle an event, however the event is spelled."""

from collections.abc import Callable

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from tests.kept_spans import KeptSpans

from vexa_events.envelope import Event, encode_binary, encode_structured
from vexa_events.trace_context import TraceContext
from vexa_events.tracing import SpanKind, Tracer, current
from vexa_functions.hosting.events import read_event
from vexa_functions.hosting.measured import Measured
from vexa_functions.hosting.traced import Traced

AROSE_IN = TraceContext(trace_id="4bf92f3577b34da6a3ce929d0e0e4736", span_id="00f067aa0ba902b7", is_sampled=True)
BROKERS = TraceContext(trace_id="5" * 32, span_id="6" * 16, is_sampled=True)
EVENT = Event(id="e", source="/pool", type="vexa.bot.active.v1", data={}, subject="meetings/7").traced(AROSE_IN)
Encode = Callable[[Event], tuple[dict[str, str], bytes]]


async def take(request: Request) -> Response:
    """Handle an event, and tell in which trace that is done."""
    await read_event(request)
    context = current()
    assert context is not None
    return Response(context.trace_id)


@pytest.mark.parametrize("encode", [encode_binary, encode_structured])
async def test_the_work_for_an_event_belongs_to_the_trace_that_the_event_arose_in(encode: Encode) -> None:
    """In either content mode; the trace of the Broker that brings it is another one."""
    kept = KeptSpans()
    app = Traced(Measured(Starlette(routes=[Route("/events", take, methods=["POST"])])), Tracer(kept))
    headers, body = encode(EVENT)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://function") as client:
        answer = await client.post("/events", headers=headers | BROKERS.texts(), content=body)

    (work,) = kept.spans
    assert answer.text == AROSE_IN.trace_id
    assert (work.name, work.kind) == ("process vexa.bot.active.v1", SpanKind.CONSUMER)
    assert (work.context.trace_id, work.parent_id) == (AROSE_IN.trace_id, AROSE_IN.span_id)
    assert (work.attributes["http.route"], work.attributes["cloudevents.event_subject"]) == ("/events", "meetings/7")

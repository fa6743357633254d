"""The layer that makes each request a piece of work in a trace: the caller's, or one of its own."""

from starlette.types import ASGIApp, Receive, Scope, Send

from vexa_events.trace_context import TraceContext, read_context
from vexa_events.tracing import Span, SpanKind, Tracer, span
from vexa_functions.hosting.measured import ROUTE, STATUS

EVENTS = "/events"
"""The route of every function that takes events; nobody from outside gets there, or spans would have any name."""
MAX_ATTRIBUTE_CHARS = 256
_EVENT_ATTRIBUTES = {
    b"ce-id": "cloudevents.event_id",
    b"ce-source": "cloudevents.event_source",
    b"ce-type": "cloudevents.event_type",
    b"ce-subject": "cloudevents.event_subject",
}
_FAILED = 500


class Traced:
    """
    Binds the trace to everything that is said and told on the way.

    An event belongs to the trace in its extensions, which is where it arose:
    the headers are those of the Broker that brings it.
    """

    def __init__(self, app: ASGIApp, tracer: Tracer) -> None:
        self._app = app
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        with span(scope["method"], kind=SpanKind.SERVER, trace=_given(headers), tracer=self._tracer) as begun:
            await self._app(scope, receive, send)
            if begun is not None:
                _describe(begun, scope, headers)


def _given(headers: dict[bytes, bytes]) -> TraceContext | None:
    for parent, state in ((b"ce-traceparent", b"ce-tracestate"), (b"traceparent", b"tracestate")):
        if parent in headers:
            return read_context(headers[parent].decode("latin-1"), headers.get(state, b"").decode("latin-1"))
    return None


def _describe(begun: Span, scope: Scope, headers: dict[bytes, bytes]) -> None:
    route, status = scope.get(ROUTE, ""), scope.get(STATUS, "")
    begun.name = f"{scope['method']} {route}".rstrip()
    if route == EVENTS and b"ce-type" in headers:
        begun.kind = SpanKind.CONSUMER
        begun.name = f"process {_text(headers[b'ce-type'])}"
        begun.attributes |= {
            name: _text(headers[header]) for header, name in _EVENT_ATTRIBUTES.items() if header in headers
        }
    begun.attributes |= {
        "http.request.method": scope["method"],
        "http.route": route,
        "http.response.status_code": int(status or 0),
    }
    if status and int(status) >= _FAILED:
        begun.fault = begun.fault or status


def _text(value: bytes) -> str:
    return value.decode("latin-1")[:MAX_ATTRIBUTE_CHARS]

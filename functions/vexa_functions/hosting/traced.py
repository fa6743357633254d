"""The layer that makes each request a piece of work in a trace: the caller's, or one of its own."""

from starlette.types import ASGIApp, Receive, Scope, Send

from vexa_events.trace_context import PARENT, STATE, TraceContext, read_context
from vexa_events.tracing import Span, SpanKind, Tracer, recorded, span
from vexa_functions.hosting.measured import ROUTE, STATUS

_PARENT, _STATE = PARENT.encode(), STATE.encode()
_FAILED = 500


class Traced:
    """Binds the trace to everything that is said and told on the way."""

    def __init__(self, app: ASGIApp, tracer: Tracer) -> None:
        self._app = app
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with span(scope["method"], kind=SpanKind.SERVER, trace=_given(scope), tracer=self._tracer):
            await self._app(scope, receive, send)
            if (done := recorded()) is not None:
                _describe(done, scope)


def _given(scope: Scope) -> TraceContext | None:
    headers = dict(scope["headers"])
    return read_context(headers.get(_PARENT, b"").decode("latin-1"), headers.get(_STATE, b"").decode("latin-1"))


def _describe(done: Span, scope: Scope) -> None:
    route, status = scope.get(ROUTE, ""), scope.get(STATUS, "")
    if done.kind is SpanKind.SERVER:  # an event has named its own
        done.name = f"{scope['method']} {route}".rstrip()
    done.attributes |= {
        "http.request.method": scope["method"],
        "http.route": route,
        "http.response.status_code": int(status or 0),
    }
    if status and int(status) >= _FAILED:
        done.fault = done.fault or status

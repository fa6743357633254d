"""The layer that measures each request, under the names that OpenTelemetry gives such numbers."""

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vexa_functions.hosting.cold_start import THIS
from vexa_functions.hosting.metrics import ACTIVE_REQUESTS, REQUESTS

ROUTE = "vexa.route"
"""Where the route that was taken stands; an app that routes by itself puts it there, for others this layer does."""
STATUS = "vexa.status"
"""Where this layer leaves the status of the answer."""
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_CUT = "499"
"""The status of a request whose caller went before there was an answer."""


class Measured:
    """Counts requests by method, route and status; the route is a pattern, never an address."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        method = scope["method"] if scope["method"] in _METHODS else "_OTHER"
        status = _CUT

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        ACTIVE_REQUESTS.add(1, method)
        began_s = time.perf_counter()
        try:
            await self._app(scope, receive, note)
        except Exception:  # only noted: whoever serves us answers it
            status = "500"
            raise
        finally:
            ACTIVE_REQUESTS.add(-1, method)
            scope[ROUTE], scope[STATUS] = _route(scope), status
            took_s = time.perf_counter() - began_s
            REQUESTS.observe(took_s, method, scope[ROUTE], status)
            THIS.answered(took_s)


def _route(scope: Scope) -> str:
    return str(scope.get(ROUTE) or getattr(scope.get("route"), "path", ""))

"""
The shell of a function in an image or under local-dev.

It owns what functions-framework has no place for: a health check, WebSocket
routes, and the end of the process's resources. Requests go to the function's
own app, the same that the framework's command serves.
"""

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from vexa_events.logs import configure_logging
from vexa_functions.hosting.cold_start import THIS, process_age_s
from vexa_functions.hosting.function import Function
from vexa_functions.hosting.outermost import Outermost
from vexa_functions.hosting.scraping import open_to_prometheus

HEALTH = "/healthz"
QUIET = ("httpx", "httpcore", "uvicorn.access", "uvicorn.error")
"""Of these only warnings are logged: what they tell beside holds addresses, and with them keys (`/ws?api_key=…`)."""


class Shell:
    """A function as a server runs it; settings are read when the server starts."""

    def __init__(self, function: Callable[[], Function], *, routes: Sequence[BaseRoute] = ()) -> None:
        self._function = function
        self._own = Outermost(Starlette(routes=[Route(HEALTH, _healthy), *routes], lifespan=self._lifespan))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] != HEALTH:
            await self._function().app(scope, receive, send)
        else:
            await self._own(scope, receive, send)

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        function = self._function()
        configure_logging(function.settings.log_level, quiet=QUIET)
        logging.getLogger("uvicorn.access").propagate = False  # without a reader uvicorn does not spell these lines
        async with open_to_prometheus(function.settings.metrics_port):
            THIS.ready(process_age_s())
            yield
        await function.aclose()


async def _healthy(_: Request) -> Response:
    return PlainTextResponse("ok")

"""
The outer shell of a function in an image or under local-dev.

It owns what functions-framework has no place for: a health check, WebSocket
routes, and the end of the process's resources. Everything else is the
framework's own ASGI app, so both ways of hosting serve the same routes.
"""

import gc
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from functions_framework.aio import create_asgi_app
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from vexa_events.logs import configure_logging
from vexa_functions.hosting.function import Function
from vexa_functions.hosting.outermost import Outermost
from vexa_functions.hosting.scraping import open_to_prometheus

HEALTH = "/healthz"
QUIET = ("httpx", "httpcore", "uvicorn.access", "uvicorn.error")
"""Of these only warnings are logged: what they tell beside holds addresses, and with them keys (`/ws?api_key=…`)."""


def shell(
    target: str, function: Callable[[], Function], *, source: Path, routes: Sequence[BaseRoute] = ()
) -> Starlette:
    """Wrap the function `target` of the file `source`; settings are read when the server starts."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        configure_logging(function().log_level, quiet=QUIET)
        logging.getLogger("uvicorn.access").propagate = False  # without a reader uvicorn does not spell these lines
        gc.freeze()  # what was imported stays: looking through it again and again is a tenth of a busy function's time
        async with open_to_prometheus(function().metrics_port):
            yield
        await function().aclose()

    framework_app = create_asgi_app(target=target, source=str(source), signature_type="http")  # type: ignore[no-untyped-call]
    return Starlette(
        routes=[Route(HEALTH, _healthy), *routes, Mount("/", app=framework_app)],
        middleware=[Middleware(Outermost)],
        lifespan=lifespan,
    )


async def _healthy(_: Request) -> Response:
    return PlainTextResponse("ok")

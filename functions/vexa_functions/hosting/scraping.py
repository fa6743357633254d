"""The port at which Prometheus reads a function: one of its own, so that no ingress leads there."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

import uvicorn
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from vexa_functions.hosting.metrics import exposition
from vexa_functions.hosting.protocol import BoundedHttp

PATH = "/metrics"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@contextlib.asynccontextmanager
async def open_to_prometheus(port: int | None) -> AsyncIterator[None]:
    """Serve `/metrics` at a port, where one is given."""
    if port is None:
        yield
        return
    config = uvicorn.Config(
        _answer,
        host="0.0.0.0",  # noqa: S104 - Prometheus is another machine
        port=port,
        http=BoundedHttp,
        lifespan="off",
        ws="none",
        log_config=None,
        access_log=False,
    )
    server = _Beside(config)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.serve())
        try:
            yield
        finally:
            server.should_exit = True


class _Beside(uvicorn.Server):
    """A server in a process whose signals are another one's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _answer(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        return
    is_asked = scope["path"] == PATH and scope["method"] in {"GET", "HEAD"}
    answer = Response(exposition(), media_type=CONTENT_TYPE) if is_asked else Response(status_code=404)
    await answer(scope, receive, send)

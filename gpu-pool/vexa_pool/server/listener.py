"""The worker's port: WebSockets for streams, and four HTTP paths for whoever looks after it."""

import asyncio
import contextlib
import http
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from vexa_events.stream import MAX_FRAME_BYTES
from vexa_pool.server.admission import is_refused_at_handshake
from vexa_pool.server.conversation import Conversation
from vexa_pool.server.metrics import CONTENT_TYPE
from vexa_pool.server.services import Services

CLOSE_SERVICE_RESTART = 1012
"""Tells a bot to reconnect elsewhere."""
CLOSE_TIMEOUT_S = 5.0
RETRY_AFTER_S = 1
BACKLOG = 1_024
"""Connections that the kernel keeps until they are accepted; further ones try again after a second."""
MOST_WITHOUT_STREAM = 512
"""Connections that are open and have no stream (yet, or any more); the next one is refused at its handshake."""
SEND_BUFFER_BYTES = 64 * 1024
"""What the kernel keeps of what a client does not read; left alone it would be megabytes, and minutes old."""
FRAMES_AHEAD = 4
"""Frames read before they are asked for; beyond, TCP pushes back on the sender."""


class Listener:
    """Accepts connections; each gets a Conversation."""

    def __init__(self, services: Services, *, ping_every_s: float, drain_s: float) -> None:
        self._services = services
        self._drain_s = drain_s
        self._ping_every_s = ping_every_s
        self._conversations = 0
        self.is_draining = False
        """Nobody new is taken any more."""

    @asynccontextmanager
    async def listen(self, host: str, port: int) -> AsyncIterator[int]:
        """Serve while the context lasts, and yield the port; then close every connection with 1012."""
        server = await serve(
            self._converse,
            host,
            port,
            process_request=self._answer_http,
            compression=None,
            max_size=MAX_FRAME_BYTES,
            max_queue=FRAMES_AHEAD,
            backlog=BACKLOG,
            open_timeout=self._services.patience.hello_s,
            close_timeout=CLOSE_TIMEOUT_S,
            ping_interval=self._ping_every_s,
            ping_timeout=None,  # a pong may be stuck behind audio that a busy worker does not read yet
            server_header=None,
        )
        for listening in server.sockets:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        try:
            yield next(iter(server.sockets)).getsockname()[1]
        finally:
            await self._drain(server)

    async def _drain(self, server: Server) -> None:
        """Take nobody new; give streams some time to end by themselves; then send them elsewhere."""
        self.is_draining = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._drain_s):
                await self._services.slots.emptied()
        server.close(code=CLOSE_SERVICE_RESTART, reason="the worker is going away")
        await server.wait_closed()

    async def _converse(self, connection: ServerConnection) -> None:
        self._conversations += 1
        try:
            await Conversation(connection, self._services).run()
        finally:
            self._conversations -= 1

    def _answer_http(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer plain HTTP, and handshakes that are refused; None lets a WebSocket through, on whatever path."""
        if "upgrade" in request.headers:
            return self._admission(connection, request)
        match request.path.partition("?")[0]:
            case "/healthz":
                return connection.respond(http.HTTPStatus.OK, "ok\n")
            case "/readyz":
                return self._readiness(connection)
            case "/metrics":
                return self._exposition()
            case _:
                return connection.respond(http.HTTPStatus.UPGRADE_REQUIRED, "this port speaks WebSocket\n")

    def _admission(self, connection: ServerConnection, request: Request) -> Response | None:
        slots = self._services.slots
        if is_refused_at_handshake(request.headers, free=slots.free, is_draining=self.is_draining):
            return self._refusal(connection, "handshake", "this worker takes no stream\n")
        if self._conversations - slots.taken >= MOST_WITHOUT_STREAM:
            return self._refusal(connection, "crowd", "too many connect at once\n")
        return None

    def _refusal(self, connection: ServerConnection, reason: str, text: str) -> Response:
        self._services.metrics.refused(reason)
        response = connection.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, text)
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
        return response

    def _exposition(self) -> Response:
        body = self._services.metrics.exposition()
        headers = Headers({"Content-Type": CONTENT_TYPE, "Content-Length": str(len(body)), "Connection": "close"})
        return Response(http.HTTPStatus.OK.value, "OK", headers, body)

    def _readiness(self, connection: ServerConnection) -> Response:
        slots = self._services.slots
        if self.is_draining or not slots.free:
            return connection.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, f"0 of {slots.total} slots free\n")
        return connection.respond(http.HTTPStatus.OK, f"{slots.free} of {slots.total} slots free\n")

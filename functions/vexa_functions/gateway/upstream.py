"""
Connections to one function behind: kept open, bounded, one request at a time on each.

A general HTTP client costs several times what the gateway does beside it; this
one knows just what Knative, uvicorn and Envoy answer to a plain request.
"""

import asyncio
import ssl
import time
from collections import deque
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

from vexa_events.errors import Unavailable
from vexa_functions.gateway.http_answer import Answer, AnswerReader

IDLE_S = 4.0
"""A connection that was idle for longer is not used again; uvicorn closes them after 5 s."""
CONNECT_TIMEOUT_S = 5.0
REPEATABLE = frozenset({"GET", "HEAD", "PUT", "DELETE"})
Headers = Iterable[tuple[bytes, bytes]]


class ConnectionLost(Unavailable):
    """The other side closed a connection before it answered anything."""


class Upstream:
    """Sends requests to one origin."""

    def __init__(
        self, url: str, *, max_connections: int, timeout_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`timeout_s` bounds a request as a whole, the wait for a connection included."""
        parts = urlsplit(url)
        self._host, self._is_secure = parts.hostname or "", parts.scheme == "https"
        self._port = parts.port or (443 if self._is_secure else 80)
        self._authority = parts.netloc.rpartition("@")[2].encode()
        self._timeout_s = timeout_s
        self._clock = clock
        self._slots = asyncio.Semaphore(max_connections)
        self._idle: deque[_Connection] = deque()

    async def request(self, method: str, target: bytes, headers: Headers, body: bytes) -> Answer:
        """Return the answer; raise Unavailable where there is none in time."""
        spelled = self._spell(method, target, headers, body)
        try:
            async with asyncio.timeout(self._timeout_s), self._slots:
                return await self._exchange(method, spelled)
        except TimeoutError as exc:
            raise Unavailable("it did not answer in time") from exc

    async def aclose(self) -> None:
        """Close what is idle."""
        while self._idle:
            self._idle.pop().close()

    async def _exchange(self, method: str, spelled: bytes) -> Answer:
        connection = self._take_idle()
        if connection is not None:
            try:
                return await self._ask(connection, method, spelled)
            except ConnectionLost:
                if method not in REPEATABLE:
                    raise
        return await self._ask(await self._connect(), method, spelled)

    async def _ask(self, connection: "_Connection", method: str, spelled: bytes) -> Answer:
        try:
            answer = await connection.ask(spelled, AnswerReader(to_head=method == "HEAD"))
        except BaseException:
            connection.close()
            raise
        if connection.is_usable:
            connection.idle_since_s = self._clock()
            self._idle.append(connection)
        else:
            connection.close()
        return answer

    def _take_idle(self) -> "_Connection | None":
        """Return the connection that was used last, and close those that were idle for too long."""
        oldest_s = self._clock() - IDLE_S
        while self._idle and (self._idle[0].idle_since_s < oldest_s or not self._idle[0].is_usable):
            self._idle.popleft().close()
        while self._idle:
            connection = self._idle.pop()
            if connection.is_usable:
                return connection
        return None

    async def _connect(self) -> "_Connection":
        context = ssl.create_default_context() if self._is_secure else None
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                _, connection = await asyncio.get_running_loop().create_connection(
                    _Connection, self._host, self._port, ssl=context
                )
        except (OSError, TimeoutError) as exc:
            raise Unavailable(f"it cannot be reached: {type(exc).__name__}") from exc
        return connection

    def _spell(self, method: str, target: bytes, headers: Headers, body: bytes) -> bytes:
        lines = [method.encode() + b" " + target + b" HTTP/1.1", b"host: " + self._authority]
        lines += [name + b": " + value for name, value in headers]
        if body or method not in {"GET", "HEAD"}:
            lines.append(b"content-length: %d" % len(body))
        return b"\r\n".join([*lines, b"", body])


class _Connection(asyncio.Protocol):
    """One connection; asked once at a time."""

    def __init__(self) -> None:
        self.idle_since_s = 0.0
        self._transport: asyncio.Transport | None = None
        self._reader: AnswerReader | None = None
        self._waiter: asyncio.Future[Answer] | None = None
        self._is_lost = False
        self._heard = False

    @property
    def is_usable(self) -> bool:
        return not self._is_lost and (self._reader is None or self._reader.is_reusable)

    async def ask(self, request: bytes, reader: AnswerReader) -> Answer:
        """Send a request and wait for its answer."""
        if self._transport is None or self._is_lost:
            raise ConnectionLost("the connection closed")
        self._reader, self._heard = reader, False
        self._waiter = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._waiter

    def close(self) -> None:
        """Drop the connection."""
        self._is_lost = True
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._waiter is None or self._waiter.done() or self._reader is None:
            self.close()
            return
        self._heard = True
        try:
            if self._reader.feed(data) and self._reader.answer is not None:
                self._waiter.set_result(self._reader.answer)
        except Unavailable as exc:
            self._waiter.set_exception(exc)

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_lost = True
        if self._waiter is None or self._waiter.done() or self._reader is None:
            return
        if not self._heard:
            self._waiter.set_exception(ConnectionLost("the connection closed before it answered"))
            return
        try:
            self._waiter.set_result(self._reader.end())
        except Unavailable as cut:
            self._waiter.set_exception(cut)

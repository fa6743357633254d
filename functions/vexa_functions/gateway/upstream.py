"""Connections to one function behind: pooled, bounded, each request bounded in time and size."""

import asyncio
import ssl
from collections import deque
from typing import cast
from urllib.parse import urlsplit

from vexa_events.errors import Unavailable
from vexa_functions.gateway.exchange import Answer, AnswerParser, BrokenAnswer, Headers, spell_request

IDLE_S = 4.0
"""A connection that was idle for longer is not used again; uvicorn closes them after 5 s."""
CONNECT_TIMEOUT_S = 5.0
REPEATABLE = frozenset({"GET", "HEAD", "PUT", "DELETE"})


class Lost(Exception):
    """The connection ended before the answer did."""


class Upstream:
    """Sends requests to one origin."""

    def __init__(self, url: str, *, max_connections: int, timeout_s: float) -> None:
        """`timeout_s` bounds a request as a whole, the wait for a connection included."""
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._authority = parts.netloc.rpartition("@")[2].encode()
        self._timeout_s = timeout_s
        self._loop = asyncio.get_running_loop()
        self._places = asyncio.Semaphore(max_connections)
        self._idle: deque[Connection] = deque()
        """The one that was used last is used next; those before grow old and are closed."""
        self._is_closed = False

    async def request(self, method: str, target: bytes, headers: Headers, body: bytes) -> Answer:
        """Return the answer; raise Unavailable where there is none in time."""
        request = spell_request(method, target, self._authority, headers, body)
        deadline_s = self._loop.time() + self._timeout_s
        try:
            return await self._ask(request, method, deadline_s)
        except Lost as exc:
            if method not in REPEATABLE:
                raise Unavailable(str(exc)) from exc
        except (BrokenAnswer, OSError, TimeoutError) as exc:
            raise Unavailable(f"{type(exc).__name__}: {exc}") from exc
        try:
            return await self._ask(request, method, deadline_s)
        except (Lost, BrokenAnswer, OSError, TimeoutError) as exc:
            raise Unavailable(f"{type(exc).__name__}: {exc}") from exc

    async def aclose(self) -> None:
        """Close every connection: those in use once they have been answered."""
        self._is_closed = True
        while self._idle:
            self._idle.pop().close()

    async def _ask(self, request: bytes, method: str, deadline_s: float) -> Answer:
        if self._places.locked():
            async with asyncio.timeout_at(deadline_s):
                await self._places.acquire()
        else:
            await self._places.acquire()
        try:
            connection = self._kept() or await self._connect(deadline_s)
            answer = await connection.ask(request, is_head=method == "HEAD", deadline_s=deadline_s)
            if self._is_closed:
                connection.close()
            elif connection.is_open:
                self._idle.append(connection)
            return answer
        finally:
            self._places.release()

    def _kept(self) -> "Connection | None":
        now_s = self._loop.time()
        while self._idle and self._idle[0].idle_since_s < now_s - IDLE_S:
            self._idle.popleft().close()
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                return connection
        return None

    async def _connect(self, deadline_s: float) -> "Connection":
        async with asyncio.timeout_at(min(deadline_s, self._loop.time() + CONNECT_TIMEOUT_S)):
            _, connection = await self._loop.create_connection(
                lambda: Connection(self._loop), self._host, self._port, ssl=self._tls
            )
        return connection


class Connection(asyncio.Protocol):
    """One connection; whoever took it from the pool asks one question at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._parser: AnswerParser | None = None
        self._waiting: asyncio.Future[Answer] | None = None
        self.idle_since_s = 0.0

    @property
    def is_open(self) -> bool:
        """Another request may be sent."""
        return self._transport is not None and not self._transport.is_closing()

    async def ask(self, request: bytes, *, is_head: bool, deadline_s: float) -> Answer:
        """Return the answer; raise Lost, BrokenAnswer or TimeoutError. Whatever else happens closes the connection."""
        if self._transport is None or self._transport.is_closing():
            raise Lost("the connection was closed")
        self._parser = AnswerParser(is_to_head=is_head)
        self._waiting = self._loop.create_future()
        expiry = self._loop.call_at(deadline_s, self._fail, TimeoutError("no answer in time"))
        self._transport.write(request)
        try:
            return await self._waiting
        except BaseException:  # cancelled, too: what is half read or half sent must carry no other request
            self.close()
            raise
        finally:
            expiry.cancel()
            self._waiting = None

    def close(self) -> None:
        """Cut the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to write."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Read on; what nobody asked for ends the connection."""
        if self._parser is None:
            self.close()
            return
        try:
            answer = self._parser.feed(data)
        except BrokenAnswer as exc:
            self._fail(exc)
            return
        if answer is not None:
            self._finish(answer, is_last=self._parser.is_last)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits."""
        self._transport = None
        self._fail(
            Lost(f"the connection was lost: {exc}" if exc else "the connection was closed before the answer ended")
        )

    def _finish(self, answer: Answer, *, is_last: bool) -> None:
        self._parser = None
        self.idle_since_s = self._loop.time()
        if is_last or (self._transport is not None and self._transport.get_write_buffer_size()):
            self.close()
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(answer)

    def _fail(self, exc: Exception) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(exc)

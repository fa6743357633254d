"""Connections to one function behind: pooled, bounded, each request bounded in time and size."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpcore

from vexa_events.errors import Unavailable

IDLE_S = 4.0
"""A connection that was idle for longer is not used again; uvicorn closes them after 5 s."""
CONNECT_TIMEOUT_S = 5.0
MAX_ANSWER_BYTES = 64 * 1024 * 1024
REPEATABLE = frozenset({"GET", "HEAD", "PUT", "DELETE"})
_LOST = (httpcore.RemoteProtocolError, httpcore.ReadError, httpcore.WriteError)
_FAILED = (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, TimeoutError)


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer; header names are lower case."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class Upstream:
    """Sends requests to one origin."""

    def __init__(self, url: str, *, max_connections: int, timeout_s: float) -> None:
        """`timeout_s` bounds a request as a whole, the wait for a connection included."""
        parts = urlsplit(url)
        self._scheme, self._host = parts.scheme.encode(), (parts.hostname or "").encode()
        self._port = parts.port
        self._authority = parts.netloc.rpartition("@")[2].encode()
        self._timeout_s = timeout_s
        self._pool = httpcore.AsyncConnectionPool(
            max_connections=max_connections, max_keepalive_connections=max_connections, keepalive_expiry=IDLE_S
        )

    async def request(self, method: str, target: bytes, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> Answer:
        """Return the answer; raise Unavailable where there is none in time."""
        request = self._spell(method, target, headers, body)
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._exchange(request, is_repeatable=method in REPEATABLE)
        except _FAILED as exc:
            raise Unavailable(type(exc).__name__) from exc

    async def aclose(self) -> None:
        """Close every connection."""
        await self._pool.aclose()

    async def _exchange(self, request: httpcore.Request, *, is_repeatable: bool) -> Answer:
        """Ask once; again where a kept connection turns out to be gone and asking twice is harmless."""
        try:
            return await self._ask(request)
        except _LOST:
            if not is_repeatable:
                raise
            return await self._ask(request)

    async def _ask(self, request: httpcore.Request) -> Answer:
        response = await self._pool.handle_async_request(request)
        try:
            body = bytearray()
            async for chunk in response.aiter_stream():
                body += chunk
                if len(body) > MAX_ANSWER_BYTES:
                    raise Unavailable(f"the answer is over {MAX_ANSWER_BYTES} bytes")
        finally:
            await response.aclose()
        return Answer(response.status, [(name.lower(), value) for name, value in response.headers], bytes(body))

    def _spell(
        self, method: str, target: bytes, headers: Sequence[tuple[bytes, bytes]], body: bytes
    ) -> httpcore.Request:
        own = [(b"host", self._authority)]
        if body or method not in {"GET", "HEAD"}:
            own.append((b"content-length", b"%d" % len(body)))
        return httpcore.Request(
            method,
            httpcore.URL(scheme=self._scheme, host=self._host, port=self._port, target=target),
            headers=[*own, *headers],
            content=body,
            extensions={"timeout": {"connect": CONNECT_TIMEOUT_S}},
        )

"""The WebSocket to a worker of the pool; the only module that knows the websockets library."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from vexa_bot.epoch_talk import ConnectionLost

OPEN_LIMIT_S = 10.0
PING_S = 10.0
SILENCE_LIMIT_S = 45.0
"""A worker from which nothing comes for this long counts as lost; it pings us every 20 s, however busy it is."""
CLOSE_LIMIT_S = 1.0
MAX_MESSAGE_BYTES = 1024 * 1024
MAX_MESSAGES_WAITING = 16


class WorkerLink:
    """
    An open connection.

    A worker under load stops reading, and then neither takes frames nor
    answers pings. That is no reason to leave it, so sending has no limit of its
    own: `watch` ends a connection that shows no life at all.
    """

    def __init__(self, connection: "_Connection", silence_limit_s: float) -> None:
        self._connection = connection
        self._silence_limit_s = silence_limit_s

    async def send(self, frame: str | bytes) -> None:
        """Send one frame; waits while the worker takes nothing. Raises ConnectionLost."""
        try:
            await self._connection.send(frame)
        except ConnectionClosed as exc:
            raise ConnectionLost(f"connection closed: {exc}") from exc

    async def receive(self) -> str | bytes:
        """Wait for one message. Raises ConnectionLost."""
        try:
            return await self._connection.recv()
        except ConnectionClosed as exc:
            raise ConnectionLost(f"connection closed: {exc}") from exc

    async def watch(self) -> None:
        """Raise ConnectionLost once the worker has been silent for too long, pings included."""
        now = asyncio.get_running_loop().time
        left_s = self._silence_limit_s
        while left_s > 0:
            await asyncio.sleep(left_s)
            left_s = self._connection.heard_at_s + self._silence_limit_s - now()
        raise ConnectionLost(f"worker was silent for {self._silence_limit_s} s")


@asynccontextmanager
async def open_link(
    url: str, *, ping_s: float = PING_S, silence_limit_s: float = SILENCE_LIMIT_S
) -> AsyncIterator[WorkerLink]:
    """Connect to the balancer; raise ConnectionLost where that fails."""
    try:
        connection = await connect(
            url,
            create_connection=_Connection,
            compression=None,
            proxy=None,
            open_timeout=OPEN_LIMIT_S,
            ping_interval=ping_s,
            ping_timeout=None,
            close_timeout=CLOSE_LIMIT_S,
            max_size=MAX_MESSAGE_BYTES,
            max_queue=MAX_MESSAGES_WAITING,
        )
    except (OSError, InvalidHandshake, TimeoutError) as exc:
        raise ConnectionLost(f"no connection to the pool: {exc}") from exc
    try:
        yield WorkerLink(cast("_Connection", connection), silence_limit_s)
    finally:
        await _close(connection)


class _Connection(ClientConnection):
    """Remembers when bytes last came, whatever they meant."""

    heard_at_s = 0.0
    """In the event loop's time."""

    def data_received(self, data: bytes) -> None:
        self.heard_at_s = self.loop.time()
        super().data_received(data)


async def _close(connection: ClientConnection) -> None:
    try:
        # The library's own limit starts only once the worker has taken what was written before.
        async with asyncio.timeout(2 * CLOSE_LIMIT_S):
            await connection.close()
    except TimeoutError:
        connection.transport.abort()

"""The WebSocket to a worker of the pool; the only module that knows the websockets library."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from vexa_bot.epoch_talk import ConnectionLost

OPEN_LIMIT_S = 10.0
SEND_LIMIT_S = 30.0
"""A worker that takes no audio for this long counts as lost."""
PING_S = 10.0
PONG_LIMIT_S = 20.0
"""A connection without an answer to a ping for this long counts as lost; this bounds every receive."""
CLOSE_LIMIT_S = 1.0
MAX_MESSAGE_BYTES = 1024 * 1024
MAX_MESSAGES_WAITING = 16


@dataclass(frozen=True, slots=True)
class WorkerLink:
    """An open connection; both directions raise ConnectionLost once it is gone."""

    connection: ClientConnection

    async def send(self, frame: str | bytes) -> None:
        """Send one frame; waits while the worker takes nothing."""
        try:
            async with asyncio.timeout(SEND_LIMIT_S):
                await self.connection.send(frame)
        except ConnectionClosed as exc:
            raise ConnectionLost(f"connection closed: {exc}") from exc
        except TimeoutError as exc:
            raise ConnectionLost(f"worker took no frame for {SEND_LIMIT_S} s") from exc

    async def receive(self) -> str | bytes:
        """Wait for one message; unanswered pings end the wait."""
        try:
            return await self.connection.recv()
        except ConnectionClosed as exc:
            raise ConnectionLost(f"connection closed: {exc}") from exc


@asynccontextmanager
async def open_link(
    url: str, *, ping_s: float = PING_S, pong_limit_s: float = PONG_LIMIT_S
) -> AsyncIterator[WorkerLink]:
    """Connect to the balancer; raise ConnectionLost where that fails."""
    try:
        connection = await connect(
            url,
            compression=None,
            proxy=None,
            open_timeout=OPEN_LIMIT_S,
            ping_interval=ping_s,
            ping_timeout=pong_limit_s,
            close_timeout=CLOSE_LIMIT_S,
            max_size=MAX_MESSAGE_BYTES,
            max_queue=MAX_MESSAGES_WAITING,
        )
    except (OSError, InvalidHandshake, TimeoutError) as exc:
        raise ConnectionLost(f"no connection to the pool: {exc}") from exc
    try:
        yield WorkerLink(connection)
    finally:
        await connection.close()

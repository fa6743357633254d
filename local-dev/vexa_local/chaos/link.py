"""A TCP proxy that can be made to fail: it stands in front of one neighbour of the stack."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count

from vexa_local.ports import LOOPBACK

CHUNK_BYTES = 16 * 1024
CONNECT_LIMIT_S = 2.0
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(slots=True)
class Condition:
    """How a link is at the moment."""

    latency_s: float = 0.0
    bytes_per_s: float | None = None
    """None means as many as there are."""
    is_cut: bool = False


@dataclass(slots=True)
class Link:
    """Passes bytes both ways; of several upstreams each connection takes the next one that answers."""

    upstream_ports: Sequence[int]
    condition: Condition = field(default_factory=Condition)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _numbers: "count[int]" = field(default_factory=count)

    @asynccontextmanager
    async def listen(self, port: int) -> AsyncIterator[None]:
        """Serve for as long as the block lasts."""
        server = await asyncio.start_server(self._carry, LOOPBACK, port)
        try:
            yield
        finally:
            server.close()
            self.reset()

    def reset(self) -> None:
        """Reset every connection, as a middlebox that has lost its table does."""
        for writer in list(self._writers):
            _abort(writer)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            upstream = None if self.condition.is_cut else await self._connect()
            if upstream is not None:
                await self._carry_both(reader, writer, *upstream)
        finally:
            self._writers.discard(writer)
            _abort(writer)

    async def _carry_both(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        far_reader: asyncio.StreamReader,
        far_writer: asyncio.StreamWriter,
    ) -> None:
        self._writers.add(far_writer)
        try:
            ways = {
                asyncio.create_task(self._pass_on(reader, far_writer)),
                asyncio.create_task(self._pass_on(far_reader, writer)),
            }
            _, others = await asyncio.wait(ways)
            for other in others:
                other.cancel()
        finally:
            self._writers.discard(far_writer)
            _abort(far_writer)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one way until its end; an error ends the other way, too."""
        try:
            while chunk := await reader.read(CHUNK_BYTES):
                await asyncio.sleep(self._delay_s(len(chunk)))
                writer.write(chunk)
                await writer.drain()
            writer.write_eof()
        except OSError:
            _abort(writer)

    def _delay_s(self, size_bytes: int) -> float:
        rate = self.condition.bytes_per_s
        return self.condition.latency_s + (size_bytes / rate if rate else 0.0)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        first = next(self._numbers)
        for offset in range(len(self.upstream_ports)):
            port = self.upstream_ports[(first + offset) % len(self.upstream_ports)]
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(CONNECT_LIMIT_S):
                    return await asyncio.open_connection(LOOPBACK, port)
        return None


def _abort(writer: asyncio.StreamWriter) -> None:
    """Close with a reset instead of a farewell."""
    connection = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    writer.transport.abort()

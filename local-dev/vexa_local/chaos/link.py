"""A TCP proxy that can be made to fail: it stands in front of one neighbour of the stack."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from vexa_local.ports import LOOPBACK

CHUNK_BYTES = 16 * 1024
CONNECT_LIMIT_S = 2.0
_STALLED_LOOK_S = 0.05
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(slots=True)
class Condition:
    """How a link is at the moment."""

    latency_s: float = 0.0
    bytes_per_s: float | None = None
    """None means as many as there are."""
    is_cut: bool = False
    is_stalled: bool = False
    """Connections stay, and nothing passes."""


@dataclass(slots=True)
class Link:
    """Passes bytes both ways."""

    upstream_port: int
    condition: Condition = field(default_factory=Condition)
    overhear: Callable[[bytes], None] = lambda _: None
    """Is told what the upstream answers."""
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _sought: "dict[asyncio.Future[None], bytes]" = field(default_factory=dict)

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

    async def sighted(self, text: bytes, *, within_s: float) -> bool:
        """Wait until a client sends a text; false where none does in time."""
        seen: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sought[seen] = text
        try:
            async with asyncio.timeout(within_s):
                await seen
        except TimeoutError:
            return False
        finally:
            del self._sought[seen]
        return True

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
                asyncio.create_task(self._pass_on(reader, far_writer, self._look_at)),
                asyncio.create_task(self._pass_on(far_reader, writer, self.overhear)),
            }
            _, others = await asyncio.wait(ways)
            for other in others:
                other.cancel()
        finally:
            self._writers.discard(far_writer)
            _abort(far_writer)

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, look_at: Callable[[bytes], None]
    ) -> None:
        """Carry one way until its end; an error ends the other way, too."""
        try:
            while chunk := await reader.read(CHUNK_BYTES):
                look_at(chunk)
                await asyncio.sleep(self._delay_s(len(chunk)))
                while self.condition.is_stalled:  # noqa: ASYNC110 - any link may be stalled at any time
                    await asyncio.sleep(_STALLED_LOOK_S)
                writer.write(chunk)
                await writer.drain()
            writer.write_eof()
        except OSError:
            _abort(writer)

    def _delay_s(self, size_bytes: int) -> float:
        rate = self.condition.bytes_per_s
        return self.condition.latency_s + (size_bytes / rate if rate else 0.0)

    def _look_at(self, chunk: bytes) -> None:
        for seen, text in self._sought.items():
            if text in chunk and not seen.done():
                seen.set_result(None)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        try:
            async with asyncio.timeout(CONNECT_LIMIT_S):
                return await asyncio.open_connection(LOOPBACK, self.upstream_port)
        except (OSError, TimeoutError):
            return None


def _abort(writer: asyncio.StreamWriter) -> None:
    """Close with a reset instead of a farewell."""
    connection = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    writer.transport.abort()

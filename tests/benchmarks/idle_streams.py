"""
What a stream costs a worker in memory while nobody speaks: `idle_streams.py URL PID`.

Streams send silence at the pace of speech; printed is what the worker's resident
memory grew by, for each of them.
"""

import asyncio
import sys

import numpy as np
import psutil
from websockets.asyncio.client import ClientConnection, connect

from vexa_events.stream import SAMPLE_RATE_HZ, Hello, encode_hello

STREAMS = 200
WARM = 5
SECONDS = 30
SECOND = np.zeros(SAMPLE_RATE_HZ, np.float32).tobytes()
"""Silence."""


async def _open(url: str, number: int) -> ClientConnection:
    connection = await connect(url, compression=None)
    await connection.send(encode_hello(Hello(uid=str(number))))
    await connection.recv()
    return connection


async def _keep_silent(streams: list[ClientConnection], seconds: int) -> None:
    for _ in range(seconds):
        for stream in streams:
            await stream.send(SECOND)
        await asyncio.sleep(1.0)


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


async def main(url: str, pid: int) -> None:
    """Print the memory before, with the streams open, and with their silence heard."""
    worker = psutil.Process(pid)
    streams = [await _open(url, number) for number in range(WARM)]
    await _keep_silent(streams, 2)
    before = worker.memory_info().rss
    streams += [await _open(url, number) for number in range(WARM, WARM + STREAMS)]
    opened = worker.memory_info().rss
    await _keep_silent(streams, SECONDS)
    heard = worker.memory_info().rss
    say(f"worker before: {before / 1e6:.0f} MB")
    say(f"each open stream: {(opened - before) / STREAMS / 1e6:.3f} MB")
    say(f"each stream after {SECONDS} s of silence: {(heard - before) / STREAMS / 1e6:.3f} MB")
    for stream in streams:
        stream.transport.abort()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))

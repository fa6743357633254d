"""
What it costs to show one meeting to many: how late messages come, and the memory of a reader.

    python -m tests.benchmarks.live [--readers 500] [--rate 4] [--seconds 15]

Readers are event streams of one meeting at one gateway. Drafts are put into the
live feed as a worker does; each reader notes how long after that it has one.
The readers live in this process and share the cores with the gateway.
"""

import argparse
import asyncio
import json
import statistics
import time
from datetime import UTC, datetime

import psutil
import redis.asyncio as redis
from tests.benchmarks.stage import (
    Databases,
    Meeting,
    cpu_s,
    databases,
    function,
    new_key,
    open_meeting,
    percentile,
    say,
)
from tests.ports import free_port

from vexa_events.live import FIELD, LiveKind, LiveMessage, LiveSegment, feed_key

PATH = "/transcripts/replay/bench/stream"
TEXT = "so the plan is that we ship on Friday unless the review"
READY_WITHIN_S = 60.0
OPENED_AT_ONCE = 10
"""Readers come one after another, not all in one instant."""


def main() -> None:
    """Measure once and print."""
    parser = argparse.ArgumentParser(description="Measure the fan-out of one meeting.")
    parser.add_argument("--readers", type=int, default=500)
    parser.add_argument("--rate", type=float, default=4.0, help="messages a second")
    parser.add_argument("--seconds", type=float, default=15.0)
    options = parser.parse_args()
    with databases(durable=False) as stores:
        meeting = asyncio.run(open_meeting(stores, streams=1))
        key = asyncio.run(new_key(stores, meeting.user_id))
        port, nowhere = free_port(), "http://127.0.0.1:9"
        env = {
            **stores.environment,
            "ADMIN_API_URL": nowhere,
            "BOT_MANAGER_URL": nowhere,
            "TRANSCRIPTION_COLLECTOR_URL": nowhere,
            "RATE_PER_KEY_HZ": "1000000",
            "BURST_PER_KEY": "1000000",
            "MAX_LIVE_CONNECTIONS": str(options.readers + 1),
        }
        with function("gateway", env, port) as gateway:
            asyncio.run(_measure(gateway, stores, meeting, key, port, options))


async def _measure(
    gateway: psutil.Process, stores: Databases, meeting: Meeting, key: str, port: int, options: argparse.Namespace
) -> None:
    await _warm_up(port, key)
    empty_bytes = gateway.memory_full_info().uss
    crowd = Crowd(port, key)
    async with asyncio.TaskGroup() as tasks:
        readers = [tasks.create_task(crowd.read()) for _ in range(options.readers)]
        async with asyncio.timeout(READY_WITHIN_S):
            while crowd.ready < options.readers:
                await asyncio.sleep(0.05)
        full_bytes, began_cpu_s = gateway.memory_full_info().uss, cpu_s(gateway)
        count = int(options.rate * options.seconds)
        await _publish(stores, meeting, count, 1 / options.rate)
        async with asyncio.timeout(READY_WITHIN_S):
            while len(crowd.latencies_s) < count * options.readers:
                await asyncio.sleep(0.05)
        used_s = cpu_s(gateway) - began_cpu_s
        for reader in readers:
            reader.cancel()
    messages = len(crowd.latencies_s)
    say(f"{options.readers} readers, {count} messages at {options.rate:g}/s: {messages} deliveries")
    say(
        f"latency: median {statistics.median(crowd.latencies_s) * 1000:.0f} ms, "
        f"p99 {percentile(crowd.latencies_s, 0.99) * 1000:.0f} ms, most {max(crowd.latencies_s) * 1000:.0f} ms"
    )
    say(f"memory of a reader: {(full_bytes - empty_bytes) / options.readers / 1024:.0f} KiB in the gateway")
    say(f"processor time of a delivery: {used_s / messages * 1e6:.0f} µs in the gateway")


class Crowd:
    """Readers of one meeting."""

    def __init__(self, port: int, key: str) -> None:
        self._port = port
        self._key = key
        self._opening = asyncio.Semaphore(OPENED_AT_ONCE)
        self.ready = 0
        self.latencies_s: list[float] = []

    async def read(self) -> None:
        """Follow the meeting until cancelled."""
        async with self._opening:
            reader, writer = await _open(self._port, self._key)
            await reader.readline()
        try:
            self.ready += 1
            while line := await reader.readline():
                if line.startswith(b"data:") and TEXT.encode() in line:
                    self._note(json.loads(line[5:]))
        finally:
            writer.close()

    def _note(self, message: dict[str, str]) -> None:
        self.latencies_s.append(time.time() - datetime.fromisoformat(message["ts"]).timestamp())


async def _open(port: int, key: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {PATH} HTTP/1.1\r\nhost: benchmark\r\nx-api-key: {key}\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise SystemExit(f"unexpected answer: {head!r} {await reader.read(200)!r}")
    return reader, writer


async def _warm_up(port: int, key: str) -> None:
    """Let the gateway open what it opens once."""
    reader, writer = await _open(port, key)
    await reader.readline()
    writer.close()
    await asyncio.sleep(1.0)


async def _publish(stores: Databases, meeting: Meeting, count: int, every_s: float) -> None:
    uid = meeting.stream_uids[0]
    began_s = time.perf_counter()
    async with redis.Redis.from_url(stores.valkey_url) as client:
        for number in range(count):
            await asyncio.sleep(max(0.0, began_s + number * every_s - time.perf_counter()))
            segment = LiveSegment(
                segment_id=f"{uid}-1-{number}",
                stream_uid=uid,
                start_s=float(number),
                end_s=number + 1.0,
                text=TEXT,
                completed=False,
            )
            message = LiveMessage(
                kind=LiveKind.MUTABLE,
                meeting_id=meeting.meeting_id,
                session_uid=meeting.session_uid,
                stream_uid=uid,
                at=datetime.now(UTC),
                segments=(segment,),
            )
            await client.xadd(feed_key(meeting.meeting_id), {FIELD: message.model_dump_json(exclude_none=True)})


if __name__ == "__main__":
    main()

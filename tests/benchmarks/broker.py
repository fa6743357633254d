"""
How long an event is on its way from the Broker's door into the database.

    python -m tests.benchmarks.broker [--rate 200] [--seconds 20] [--streams 100]

The real manifests, Broker and collector, Postgres and Valkey writing to disk
as local-dev has them. Batches are posted at their times whether or not the ones
before have arrived; a stream's mark in Valkey says what is stored, and is read
every few milliseconds. Trigger and collector keep each stream's order.
"""

import argparse
import asyncio
import json
import statistics
import sys
import time
from pathlib import Path

import httpx
import redis.asyncio as redis
from tests.benchmarks.stage import Meeting, cpu_s, databases, function, open_meeting, percentile, program, say
from tests.ports import free_port

from vexa_events.envelope import encode_binary
from vexa_events.live import StoredMark, stored_key
from vexa_events.registry import committed_event
from vexa_local.stack import FUNCTIONS

KNATIVE = Path(__file__).resolve().parents[2] / "knative" / "base"
READ_EVERY_S = 0.004
ARRIVED_WITHIN_S = 60.0


def main() -> None:
    """Measure once and print."""
    parser = argparse.ArgumentParser(description="Measure the way from the Broker into the database.")
    parser.add_argument("--rate", type=float, default=200.0, help="events a second")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--streams", type=int, default=100)
    options = parser.parse_args()
    with databases(durable=True) as stores:
        meeting = asyncio.run(open_meeting(stores, streams=options.streams))
        collector_port, broker_port = free_port(), free_port()
        sink = f"http://127.0.0.1:{broker_port}/vexa/default"
        services = {name.replace("_", "-"): "http://127.0.0.1:9" for name in FUNCTIONS}
        services["collector"] = f"http://127.0.0.1:{collector_port}"
        env = {
            "PORT": str(broker_port),
            "REDIS_URL": stores.valkey_url,
            "KNATIVE_DIR": str(KNATIVE),
            "SERVICE_URLS": json.dumps(services),
            "LOG_LEVEL": "ERROR",
        }
        command = [sys.executable, "-m", "vexa_local.broker"]
        with (
            function("collector", {**stores.environment, "K_SINK": sink}, collector_port) as collector,
            program(command, env, broker_port) as broker,
        ):
            began = cpu_s(collector), cpu_s(broker)
            run = Run(meeting, sink, stores.valkey_url)
            asyncio.run(run.measure(options.rate, int(options.rate * options.seconds)))
            used = cpu_s(collector) - began[0], cpu_s(broker) - began[1]
    run.report(options.rate, used)


class Run:
    """Posts batches, and notes when each is posted, accepted and stored; seconds of one clock."""

    def __init__(self, meeting: Meeting, sink: str, valkey_url: str) -> None:
        self._meeting = meeting
        self._sink = sink
        self._valkey_url = valkey_url
        self._posted: dict[tuple[str, int], float] = {}
        self._accepted_s: list[float] = []
        self._stored_s: list[float] = []
        self._late_s: list[float] = []

    async def measure(self, rate_hz: float, count: int) -> None:
        """Post `count` batches, in turn of their streams, and wait for the last one."""
        limits, streams = httpx.Limits(max_connections=64, keepalive_expiry=2.0), self._meeting.stream_uids
        keys = [(streams[number % len(streams)], number // len(streams)) for number in range(count)]
        encoded = [encode_binary(committed_event(self._meeting.batch(*key))) for key in keys]
        async with httpx.AsyncClient(timeout=30, trust_env=False, limits=limits) as client:
            reading = asyncio.create_task(self._read_marks(count))
            async with asyncio.TaskGroup() as tasks:
                began_s = time.perf_counter()
                for number in range(count):
                    due_s = began_s + number / rate_hz
                    await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
                    self._late_s.append(time.perf_counter() - due_s)
                    tasks.create_task(self._post(client, keys[number], *encoded[number]))
            async with asyncio.timeout(ARRIVED_WITHIN_S):
                await reading

    async def _post(
        self, client: httpx.AsyncClient, key: tuple[str, int], headers: dict[str, str], body: bytes
    ) -> None:
        self._posted[key] = posted_s = time.perf_counter()
        answer = await client.post(self._sink, headers=headers, content=body)
        if answer.status_code != httpx.codes.ACCEPTED:
            raise SystemExit(f"unexpected answer: {answer.status_code}")
        self._accepted_s.append(time.perf_counter() - posted_s)

    async def _read_marks(self, count: int) -> None:
        uids = self._meeting.stream_uids
        known = dict.fromkeys(uids, 0)
        async with redis.Redis.from_url(self._valkey_url) as client:
            while len(self._stored_s) < count:
                marks = await client.mget([stored_key(uid) for uid in uids])
                now_s = time.perf_counter()
                for uid, mark in zip(uids, marks, strict=True):
                    stored = round(StoredMark.model_validate_json(mark).until_s / 1.5) if mark else 0
                    self._stored_s += [now_s - self._posted[uid, seq] for seq in range(known[uid], stored)]
                    known[uid] = stored
                await asyncio.sleep(READ_EVERY_S)

    def report(self, rate_hz: float, used_s: tuple[float, float]) -> None:
        """Print what was found."""
        count = len(self._stored_s)
        say(f"{count} events at {rate_hz:.0f}/s; the load was late by {_ms(self._late_s, 0.99)} at p99")
        say(f"accepted: median {statistics.median(self._accepted_s) * 1000:.0f} ms, p99 {_ms(self._accepted_s, 0.99)}")
        say(f"stored:   median {statistics.median(self._stored_s) * 1000:.0f} ms, p99 {_ms(self._stored_s, 0.99)}")
        collector_ms, broker_ms = (used / count * 1000 for used in used_s)
        say(f"processor time of an event: collector {collector_ms:.1f} ms, Broker {broker_ms:.1f} ms")


def _ms(values: list[float], share: float) -> str:
    return f"{percentile(values, share) * 1000:.0f} ms"


if __name__ == "__main__":
    main()

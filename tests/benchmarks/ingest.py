"""
What storing through the collector costs: events a second, as a ratio to a bare asyncpg loop in the same run.

    python -m tests.benchmarks.ingest [--events 200] [--rounds 5] [--streams 8] [--durable]

Both have one core to themselves and write the same rows: a batch, a span, a
segment with its words, the stream's new end, in one transaction. The collector
also parses and checks the event, locks the stream, checks its owner, reads
back what it stored, shows it in the live feed and acknowledges it. Postgres,
Valkey and the load have the other cores.
"""

import argparse
import asyncio
import json
import os
import statistics
import time
from dataclasses import dataclass

import asyncpg
import psutil
from tests.benchmarks.stage import Databases, Meeting, cpu_s, databases, function, open_meeting, say
from tests.ports import free_port

from vexa_events.envelope import encode_binary
from vexa_events.registry import committed_event
from vexa_events.transcript import TranscriptCommitted
from vexa_functions.store.batches import STORE
from vexa_functions.store.streams import ADVANCE

MEASURED_CORE = 1
OTHER_CORES = [core for core in range(os.cpu_count() or 2) if core != MEASURED_CORE]
CONNECTIONS = 4
"""Of the bare loop; as many as the collector has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One round."""

    rate_hz: float
    cpu_ms: float
    """Processor time for one event."""


class Load:
    """Makes the batches of every stream in their order, whoever stores them."""

    def __init__(self, meeting: Meeting, count: int) -> None:
        self._meeting = meeting
        self._count = count
        self._next = 0

    def batches(self) -> dict[str, list[TranscriptCommitted]]:
        """Make the next batches of each stream."""
        numbers = range(self._next, self._next + self._count)
        self._next = numbers.stop
        return {uid: [self._meeting.batch(uid, seq) for seq in numbers] for uid in self._meeting.stream_uids}


def main() -> None:
    """Measure both in turn and print the medians."""
    parser = argparse.ArgumentParser(description="Measure what storing through the collector costs.")
    parser.add_argument("--events", type=int, default=200, help="of each stream in each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--streams", type=int, default=8)
    parser.add_argument("--durable", action="store_true")
    options = parser.parse_args()
    psutil.Process().cpu_affinity(OTHER_CORES)
    with databases(durable=options.durable) as stores:
        meeting = asyncio.run(open_meeting(stores, streams=options.streams))
        load, port = Load(meeting, options.events), free_port()
        env = {**stores.environment, "K_SINK": "http://127.0.0.1:9"}
        bare, through = [], []
        with function("collector", env, port, core=MEASURED_CORE) as collector:
            for _ in range(options.rounds):
                bare.append(_bare(stores, load.batches()))
                through.append(_through(collector, port, load.batches()))
    _report("bare asyncpg loop", bare)
    _report("collector", through)
    ratios = [b.rate_hz / a.rate_hz for a, b in zip(bare, through, strict=True)]
    cpu = [a.cpu_ms / b.cpu_ms for a, b in zip(bare, through, strict=True)]
    say(f"ratio of events/s: {statistics.median(ratios):.2f} (rounds: {min(ratios):.2f} to {max(ratios):.2f})")
    say(f"ratio of processor time: {statistics.median(cpu):.2f} (rounds: {min(cpu):.2f} to {max(cpu):.2f})")


Batches = dict[str, list[TranscriptCommitted]]
Row = tuple[object, ...]


def _bare(stores: Databases, batches: Batches) -> Measured:
    """Run the loop in this process, on the measured core."""
    rows = [[_row(batch) for batch in own] for own in batches.values()]
    psutil.Process().cpu_affinity([MEASURED_CORE])
    try:
        return asyncio.run(_bare_loop(stores, rows))
    finally:
        psutil.Process().cpu_affinity(OTHER_CORES)


async def _bare_loop(stores: Databases, rows: list[list[Row]]) -> Measured:
    connections = [await asyncpg.connect(stores.postgres_url) for _ in range(CONNECTIONS)]
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    async with asyncio.TaskGroup() as tasks:
        for number, connection in enumerate(connections):
            tasks.create_task(_write(connection, rows[number::CONNECTIONS]))
    took_s, cpu = time.perf_counter() - began_s, time.process_time() - began_cpu_s
    for connection in connections:
        await connection.close()
    count = sum(map(len, rows))
    return Measured(rate_hz=count / took_s, cpu_ms=cpu / count * 1000)


def _row(batch: TranscriptCommitted) -> Row:
    spans = json.dumps([span.model_dump(mode="json") for span in batch.spans])
    segments = json.dumps([segment.model_dump(mode="json") for segment in batch.segments])
    return (batch.stream_uid, batch.epoch, batch.batch_seq, batch.from_s, batch.until_s, spans, segments)


async def _write(connection: "asyncpg.Connection[asyncpg.Record]", rows: list[list[Row]]) -> None:
    for own in rows:
        for row in own:
            async with connection.transaction():
                await connection.execute(STORE, *row)
                await connection.execute(ADVANCE, row[0], row[4], int(str(row[2])) + 1)


def _through(collector: psutil.Process, port: int, batches: Batches) -> Measured:
    requests = [[_request(batch) for batch in own] for own in batches.values()]
    began_s, began_cpu_s = time.perf_counter(), cpu_s(collector)
    asyncio.run(_post_all(port, requests))
    took_s, cpu = time.perf_counter() - began_s, cpu_s(collector) - began_cpu_s
    count = sum(map(len, requests))
    return Measured(rate_hz=count / took_s, cpu_ms=cpu / count * 1000)


def _request(batch: TranscriptCommitted) -> bytes:
    headers, body = encode_binary(committed_event(batch))
    lines = [f"{name}: {value}" for name, value in {**headers, "content-length": str(len(body)), "host": "b"}.items()]
    return "\r\n".join(["POST /events HTTP/1.1", *lines, "", ""]).encode() + body


async def _post_all(port: int, requests: list[list[bytes]]) -> None:
    """One connection for each stream, one request at a time on each."""
    async with asyncio.TaskGroup() as tasks:
        for own in requests:
            tasks.create_task(_post(port, own))


async def _post(port: int, requests: list[bytes]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for request in requests:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 204"):
            raise SystemExit(f"unexpected answer: {head!r}")
    writer.close()


def _report(name: str, rounds: list[Measured]) -> None:
    rate_hz = statistics.median(measured.rate_hz for measured in rounds)
    cpu_ms = statistics.median(measured.cpu_ms for measured in rounds)
    say(f"{name}: {rate_hz:.0f} events/s, {cpu_ms:.2f} ms of its core for each")


if __name__ == "__main__":
    main()

"""Spans on their way to a receiver that takes them, refuses them, or is not there."""

import asyncio
import base64
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.waiting import eventually

from vexa_events.otlp import MAX_TOGETHER, MAX_WAITING, OtlpExporter, spell
from vexa_events.trace_context import TraceContext
from vexa_events.tracing import Span, SpanKind

CONTEXT = TraceContext(trace_id="4bf92f3577b34da6a3ce929d0e0e4736", span_id="00f067aa0ba902b7", is_sampled=True)
RESOURCE = {"service.name": "vexa-test"}
NOWHERE = "http://127.0.0.1:9"


class Receiver:
    """Answers with the next of its statuses, and with the last of them from then on."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.names: list[str] = []
        self.requests = 0
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next(line for line in head.lower().splitlines() if line.startswith("content-length:"))
        body = json.loads(await reader.readexactly(int(length.partition(":")[2])))
        assert head.startswith("POST /v1/traces ")
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        self.requests += 1
        if status == 200:
            self.names += [span["name"] for span in body["resourceSpans"][0]["scopeSpans"][0]["spans"]]
        writer.write(f"HTTP/1.1 {status} Said\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()


@asynccontextmanager
async def receiving(*statuses: int) -> AsyncIterator[Receiver]:
    receiver = Receiver(*statuses)
    async with await asyncio.start_server(receiver.serve, "127.0.0.1", 0) as server:
        receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield receiver


class Counts(Counter[str]):
    """What became of spans."""

    def count(self, outcome: str, number: int) -> None:
        self[outcome] += number


def a_span(name: str = "work") -> Span:
    return Span(name=name, kind=SpanKind.SERVER, context=CONTEXT, parent_id="", started_at_ns=1, ended_at_ns=2)


async def test_spans_are_sent_soon_and_in_order() -> None:
    """Without anybody's waiting for it."""
    counts = Counts()
    async with receiving(200) as receiver:
        exporter = OtlpExporter(receiver.url + "/", RESOURCE, count=counts.count, flush_s=0.01)
        for number in range(MAX_TOGETHER + 1):
            exporter.offer(a_span(str(number)))

        await eventually(lambda: counts["sent"] == MAX_TOGETHER + 1)

    assert receiver.names == [str(number) for number in range(MAX_TOGETHER + 1)]
    assert receiver.requests == 2


async def test_what_the_receiver_cannot_take_yet_is_sent_again() -> None:
    """A receiver that is overloaded or restarts loses nothing."""
    counts = Counts()
    async with receiving(503, 429, 200) as receiver:
        exporter = OtlpExporter(receiver.url, RESOURCE, count=counts.count, flush_s=0.01)
        exporter.offer(a_span("first"))

        await eventually(lambda: counts["sent"])

    assert (receiver.names, receiver.requests, counts) == (["first"], 3, {"sent": 1})


async def test_what_the_receiver_refuses_is_not_sent_again() -> None:
    """And is counted."""
    counts = Counts()
    async with receiving(400) as receiver:
        exporter = OtlpExporter(receiver.url, RESOURCE, count=counts.count, flush_s=0.01)
        exporter.offer(a_span())

        await eventually(lambda: bool(counts))
        await exporter.aclose()

    assert (receiver.requests, counts) == (1, {"refused": 1})


async def test_a_receiver_that_is_not_there_costs_a_bounded_queue() -> None:
    """What finds no room is dropped and counted, and in the end so is the rest."""
    counts = Counts()
    exporter = OtlpExporter(NOWHERE, RESOURCE, count=counts.count, flush_s=0.01)

    for _ in range(MAX_WAITING + 10):
        exporter.offer(a_span())
    dropped_at_once = counts["dropped"]
    await exporter.aclose()

    assert (dropped_at_once, counts) == (10, {"dropped": MAX_WAITING + 10})


async def test_what_waits_is_sent_as_the_process_ends() -> None:
    """An instance that is told to go has not flushed its last second."""
    counts = Counts()
    async with receiving(200) as receiver:
        exporter = OtlpExporter(receiver.url, RESOURCE, count=counts.count, flush_s=3_600)
        exporter.offer(a_span("last"))

        await exporter.aclose()

    assert receiver.names == ["last"]


@pytest.mark.parametrize("fault", [None, "ValueError"])
def test_spans_are_spelled_as_the_protocol_says(fault: str | None) -> None:
    """Read back by the schema's own classes, which refuse a field that it does not have."""
    span = a_span()
    span.parent_id = "b7ad6b7169203331"
    span.links, span.fault = [CONTEXT], fault
    span.attributes = {"text": "a", "whole": 1, "broken": 0.5, "is": True}

    read = ParseDict(_as_protobuf_spells_ids(spell(RESOURCE, [span])), ExportTraceServiceRequest())

    (told,) = read.resource_spans[0].scope_spans[0].spans
    assert (told.trace_id.hex(), told.span_id.hex()) == (CONTEXT.trace_id, CONTEXT.span_id)
    assert (told.kind, told.start_time_unix_nano, told.end_time_unix_nano) == (2, 1, 2)
    assert {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in told.attributes} == span.attributes
    assert told.links[0].trace_id.hex() == CONTEXT.trace_id
    assert (told.status.code, told.status.message) == ((2, fault) if fault else (0, ""))


def _as_protobuf_spells_ids(said: object) -> object:
    """OTLP's JSON has ids in hexadecimal digits, that of protobuf in Base64; all else is the same."""
    match said:
        case dict():
            return {
                name: _id(value) if name.endswith("Id") else _as_protobuf_spells_ids(value)
                for name, value in said.items()
            }
        case list():
            return [_as_protobuf_spells_ids(one) for one in said]
        case _:
            return said


def _id(digits: str) -> str:
    return base64.b64encode(bytes.fromhex(digits)).decode()

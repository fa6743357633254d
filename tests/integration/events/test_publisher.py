"""Publishing to a real HTTP sink, one that answers in every way a sink can."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import pytest
from tests.waiting import DEADLINE_S

from vexa_events.envelope import MAX_EVENT_BYTES, Event, parse_http
from vexa_events.errors import InvalidMessage, Unavailable
from vexa_events.publisher import SinkPublisher

EVENT = Event(
    id="s.1:2:7",
    source="/vexa/pool",
    type="vexa.test.happened.v1",
    time="2026-03-17T09:00:00Z",
    data={"text": "Zoë 世界"},
    extensions={"tenant": "17"},
)
NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"


class Sink:
    """Keeps what is posted and writes prepared bytes, one part every 50 ms, then closes."""

    def __init__(self, *answer: bytes) -> None:
        self.answer = answer
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.serving: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii")
        headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
        self.requests.append((headers, await reader.readexactly(int(headers["Content-Length"]))))
        for part in self.answer:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.05 if len(self.answer) > 1 else 0)

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.serving.add(asyncio.create_task(self._serve_and_close(reader, writer)))

    async def _serve_and_close(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            try:
                await self.serve(reader, writer)
            finally:
                writer.close()
                await writer.wait_closed()

    async def aclose(self) -> None:
        for task in self.serving:
            task.cancel()
        await asyncio.gather(*self.serving, return_exceptions=True)


@asynccontextmanager
async def running(sink: Sink) -> AsyncIterator[str]:
    server = await asyncio.start_server(sink.accept, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/vexa/default"
    finally:
        server.close()
        await sink.aclose()
        await server.wait_closed()


def answering(status: int, body: bytes = b"") -> Sink:
    head = f"HTTP/1.1 {status} Whatever\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return Sink(head.encode() + body)


async def publish(url: str, event: Event = EVENT, *, timeout_s: float = DEADLINE_S) -> None:
    async with httpx.AsyncClient(timeout=DEADLINE_S, trust_env=False) as client:
        await SinkPublisher(client, url, timeout_s=timeout_s).publish(event)


@pytest.mark.parametrize("status", [200, 202, 204])
async def test_an_accepted_event_arrives_as_it_was(status: int) -> None:
    """The sink reads the same event, and any 2xx hands it over."""
    sink = answering(status)

    async with running(sink) as url:
        await publish(url)

    assert [parse_http(headers, body) for headers, body in sink.requests] == [EVENT]


@pytest.mark.parametrize("status", [404, 408, 409, 429, 500, 502, 503, 504, 599])
async def test_an_answer_that_may_change_means_try_again(status: int) -> None:
    """What a Knative sender retries is Unavailable."""
    async with running(answering(status)) as url:
        with pytest.raises(Unavailable, match=str(status)):
            await publish(url)


@pytest.mark.parametrize("status", [302, 400, 401, 403, 405, 413, 415, 422])
async def test_any_other_answer_is_final(status: int) -> None:
    """What a Knative sender gives up on is InvalidMessage, with the sink's own words."""
    async with running(answering(status, b"epoch: must be positive")) as url:
        with pytest.raises(InvalidMessage, match=f"{EVENT.id} with {status}: epoch: must be positive"):
            await publish(url)


@pytest.mark.parametrize(
    "sink",
    [
        pytest.param(Sink(), id="closes without a word"),
        pytest.param(Sink(b"SSH-2.0-OpenSSH_9.9\r\n"), id="speaks another protocol"),
        pytest.param(Sink(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nshort"), id="stops in the middle"),
    ],
)
async def test_a_broken_answer_means_try_again(sink: Sink) -> None:
    """Nothing is known of the event's fate, so it is sent again."""
    async with running(sink) as url:
        with pytest.raises(Unavailable):
            await publish(url)


async def test_a_sink_that_is_not_there_means_try_again() -> None:
    """A refused connection is a dependency that is down."""
    async with running(Sink()) as url:
        pass

    with pytest.raises(Unavailable):
        await publish(url)


async def test_an_answer_that_drips_is_given_up() -> None:
    """Each byte comes within the client's timeout, but the delivery as a whole takes too long."""
    drips = [b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", *[b"x"] * 1_000]

    async with running(Sink(*drips)) as url:
        with pytest.raises(Unavailable, match="TimeoutError"):
            await publish(url, timeout_s=0.3)


async def test_a_sink_that_asks_is_told_who_publishes(tmp_path: Path) -> None:
    """The token is read for each event, as it is renewed while we run; without one nothing is posted."""
    sink, token_file = answering(202), tmp_path / "token"

    async with running(sink) as url, httpx.AsyncClient(trust_env=False, timeout=DEADLINE_S) as client:
        publisher = SinkPublisher(client, url, token_file=token_file)
        with pytest.raises(Unavailable, match="token cannot be read: No such file"):
            await publisher.publish(EVENT)
        for token in ("first", "second"):
            token_file.write_text(f"{token}\n")
            await publisher.publish(EVENT)

    assert [headers["Authorization"] for headers, _ in sink.requests] == ["Bearer first", "Bearer second"]


async def test_an_event_that_cannot_travel_is_not_posted() -> None:
    """The producer learns it at once."""
    sink = Sink(NO_CONTENT)

    async with running(sink) as url:
        with pytest.raises(InvalidMessage, match="over the limit"):
            await publish(url, Event(id="1", source="/x", type="t", data="x" * MAX_EVENT_BYTES))

    assert sink.requests == []

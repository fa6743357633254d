"""The gateway's connections to a function: kept, bounded, and never trusted to end well."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

import pytest
from tests.waiting import DEADLINE_S

from vexa_events.errors import Unavailable
from vexa_functions.gateway.upstream import Upstream

WITHIN_S = DEADLINE_S
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Server:
    """A server whose connections follow a script each; the last script serves all later ones."""

    scripts: list[Script] = field(default_factory=list)
    heads: list[bytes] = field(default_factory=list)
    connections: int = 0
    gone: int = 0
    url: str = ""

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        script = self.scripts[min(self.connections, len(self.scripts) - 1)]
        self.connections += 1
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            await script(reader, writer)
        writer.close()
        self.gone += 1

    async def head(self, reader: asyncio.StreamReader) -> bytes:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        return head

    async def answer_all(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await self.head(reader):
            writer.write(OK)

    async def all_are_gone(self) -> None:
        async with asyncio.timeout(WITHIN_S):
            while self.gone < self.connections:
                await asyncio.sleep(0.01)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """A server on this machine; without a script it answers everything."""
    made = Server()
    made.scripts = [made.answer_all]
    listening = await asyncio.start_server(made.talk, "127.0.0.1", 0)
    host, port = listening.sockets[0].getsockname()
    made.url = f"http://{host}:{port}"
    yield made
    listening.close()


@pytest.fixture
async def upstream(server: Server) -> AsyncIterator[Upstream]:
    """Two connections at most."""
    made = Upstream(server.url, max_connections=2, timeout_s=WITHIN_S)
    yield made
    await made.aclose()
    await server.all_are_gone()


async def test_a_connection_is_kept_for_the_next_request(server: Server, upstream: Upstream) -> None:
    """One after another needs no more than one."""
    for method in ("GET", "POST", "GET"):
        await upstream.request(method, b"/", [], b"")

    assert (server.connections, len(server.heads)) == (1, 3)


@pytest.mark.parametrize("ending", [b"", b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n"])
async def test_an_idle_connection_that_its_server_ends_is_not_used(
    server: Server, upstream: Upstream, ending: bytes
) -> None:
    """Closed or spoken on without a question: even a POST goes out once, on a new one."""
    may_end = asyncio.Event()

    async def answer_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.head(reader)
        writer.write(OK)
        await may_end.wait()
        writer.write(ending)
        writer.write_eof()
        await reader.read()

    server.scripts.insert(0, answer_once)
    await upstream.request("GET", b"/", [], b"")
    may_end.set()
    await server.all_are_gone()

    answer = await upstream.request("POST", b"/", [], b"{}")

    assert (answer.body, server.connections, len(server.heads)) == (b"ok", 2, 2)


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\ncontent-le", OK[:-1]], ids=["nothing", "head", "body"])
@pytest.mark.parametrize(("method", "times"), [("GET", 2), ("DELETE", 2), ("POST", 1), ("PATCH", 1)])
async def test_only_what_may_be_repeated_is_sent_again(
    server: Server, upstream: Upstream, said: bytes, method: str, times: int
) -> None:
    """A request whose answer was cut may have been done; half an answer is none."""

    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.head(reader)
        writer.write(said)

    server.scripts = [cut]

    with pytest.raises(Unavailable):
        await upstream.request(method, b"/", [], b"")

    assert len(server.heads) == times


async def test_a_streamed_answer_arrives_whole(server: Server, upstream: Upstream) -> None:
    """Chunks come as they are made, and the connection goes on afterwards."""

    async def stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await server.head(reader):
            writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            for _ in range(50):
                writer.write(b"2710\r\n" + b"x" * 10_000 + b"\r\n")
                await writer.drain()
                await asyncio.sleep(0)
            writer.write(b"0\r\n\r\n")

    server.scripts = [stream]

    answers = [await upstream.request("GET", b"/", [], b"") for _ in range(2)]

    assert [len(answer.body) for answer in answers] == [500_000, 500_000]
    assert server.connections == 1


async def test_a_body_arrives_whole_at_a_server_that_takes_its_time(server: Server, upstream: Upstream) -> None:
    """More than the sockets hold waits for the reader."""
    body, read = bytes(range(256)) * 4096, bytearray()

    async def sip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.head(reader)
        while len(read) < len(body):
            read.extend(await reader.read(8192))
            await asyncio.sleep(0)
        writer.write(OK)
        await reader.read()

    server.scripts = [sip]

    answer = await upstream.request("POST", b"/", [], body)

    assert (answer.status, bytes(read)) == (200, body)


async def test_an_answer_that_does_not_wait_for_the_body_counts(server: Server, upstream: Upstream) -> None:
    """It is the answer; the connection, with the rest of the body in it, is not used again."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.head(reader)
        writer.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n")
        await reader.read()

    server.scripts = [refuse, server.answer_all]

    refused = await upstream.request("POST", b"/", [], b"x" * 16_000_000)
    then = await upstream.request("POST", b"/", [], b"")

    assert (refused.status, then.status, server.connections) == (413, 200, 2)


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\n", OK[:-1]], ids=["silence", "half a head", "half a body"])
async def test_a_server_that_stalls_is_given_up(server: Server, said: bytes) -> None:
    """Whatever it has said, the request is over in time, and so is the connection."""

    async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.head(reader)
        writer.write(said)
        await reader.read()

    server.scripts = [stall]
    upstream = Upstream(server.url, max_connections=1, timeout_s=0.1)

    with pytest.raises(Unavailable, match="Timeout"):
        await upstream.request("GET", b"/", [], b"")
    await server.all_are_gone()


async def test_waiting_for_a_connection_is_part_of_the_time(server: Server) -> None:
    """Whoever waits for its turn longer than a request may take is told so, and the turn is not lost."""
    may_answer = asyncio.Event()

    async def late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.head(reader)
        await may_answer.wait()
        writer.write(OK)
        await server.answer_all(reader, writer)

    server.scripts = [late]
    upstream = Upstream(server.url, max_connections=1, timeout_s=0.3)
    outcomes = await asyncio.gather(*(upstream.request("GET", b"/", [], b"") for _ in range(3)), return_exceptions=True)
    may_answer.set()
    server.scripts = [server.answer_all]

    assert [type(outcome) for outcome in outcomes] == [Unavailable] * 3
    assert await _answered(upstream) == b"ok"
    await upstream.aclose()
    await server.all_are_gone()


async def test_nobody_listening_is_unavailable() -> None:
    """A refused connection is told as what it is."""
    with pytest.raises(Unavailable, match="Refused"):
        await Upstream("http://127.0.0.1:9", max_connections=1, timeout_s=WITHIN_S).request("POST", b"/", [], b"")


async def test_the_answer_to_a_request_that_was_given_up_is_nobody_elses(server: Server, upstream: Upstream) -> None:
    """A caller that goes takes its connection along."""
    asked = asyncio.Event()

    async def late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.head(reader)
        asked.set()
        await reader.read()
        writer.write(OK.replace(b"ok", b"no"))

    server.scripts = [late, server.answer_all]
    given_up = asyncio.create_task(upstream.request("GET", b"/", [], b""))
    await asked.wait()
    given_up.cancel()
    with suppress(asyncio.CancelledError):
        await given_up

    assert (await upstream.request("GET", b"/", [], b"")).body == b"ok"
    assert server.connections == 2


async def test_head_and_empty_answers_have_no_body(server: Server, upstream: Upstream) -> None:
    """Neither waits for bytes that will not come."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await server.head(reader):
            is_head = head.startswith(b"HEAD")
            writer.write(OK.removesuffix(b"ok") if is_head else b"HTTP/1.1 204 No Content\r\n\r\n")

    server.scripts = [answer]

    head = await upstream.request("HEAD", b"/", [], b"")
    nothing = [await upstream.request("DELETE", b"/", [], b"") for _ in range(2)]

    assert (head.status, head.body, dict(head.headers)[b"content-length"]) == (200, b"", b"2")
    assert [(answer.status, answer.body) for answer in nothing] == [(204, b"")] * 2


async def _answered(upstream: Upstream) -> bytes:
    """Ask until there is an answer in the little time that a request may take."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            with suppress(Unavailable):
                return (await upstream.request("GET", b"/", [], b"")).body

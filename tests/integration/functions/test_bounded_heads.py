"""What comes before a body, from callers that nobody knows yet."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import httpx
import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from tests.ports import free_port
from tests.waiting import DEADLINE_S

from vexa_functions.hosting.protocol import MAX_HEAD_BYTES, BoundedHttp
from vexa_functions.hosting.scraping import open_to_prometheus


class Impatient(BoundedHttp):
    """Waits for a head no longer than a test does."""

    head_timeout_s = 0.2


async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer before the body is read."""
    await PlainTextResponse("too much", 413)(scope, receive, send)


async def tell_headers(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer which headers there are once the body was read."""
    await Request(scope, receive).body()
    await PlainTextResponse(" ".join(name.decode() for name, _ in scope["headers"]))(scope, receive, send)


async def count(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer how long the body was."""
    await PlainTextResponse(str(len(await Request(scope, receive).body())))(scope, receive, send)


@contextlib.asynccontextmanager
async def serving(protocol: type[BoundedHttp], app: ASGIApp = count) -> AsyncIterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, http=protocol, log_config=None, lifespan="off"))
        task = asyncio.create_task(server.serve([listener]))
        yield listener.getsockname()[1]
        server.should_exit = True
        await task


async def status_of(port: int, request: bytes) -> bytes:
    """Send a beginning, and read what is said to it before the connection ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with asyncio.timeout(DEADLINE_S):
        with contextlib.suppress(ConnectionError):
            writer.write(request)
            await writer.drain()
        answer = await reader.readline()
        await closed(writer)
    return answer.strip()


async def closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


@pytest.mark.parametrize(
    "beginning",
    [
        b"GET / HTTP/1.1\r\nhost: x\r\n" + b"x-more: and more\r\n" * (MAX_HEAD_BYTES // 16),
        b"GET / HTTP/1.1\r\nhost: x\r\nx-long: " + b"a" * MAX_HEAD_BYTES,
        b"GET /" + b"a" * (MAX_HEAD_BYTES + 1),
    ],
    ids=["many headers", "a long header", "a long address"],
)
async def test_a_head_without_end_is_refused(beginning: bytes) -> None:
    """Whoever sends it has shown no key, and all of it would be kept."""
    async with serving(BoundedHttp) as port:
        assert await status_of(port, beginning) == b"HTTP/1.1 431 Request Header Fields Too Large"


@pytest.mark.parametrize("beginning", [b"", b"GET / HTTP/1.1\r\nhost"], ids=["nothing", "half a head"])
async def test_a_head_that_does_not_end_in_time_is_refused(beginning: bytes) -> None:
    """A connection costs its caller nothing and us one of those that we have."""
    async with serving(Impatient) as port:
        assert await status_of(port, beginning) == b"HTTP/1.1 408 Request Timeout"


async def test_an_empty_line_after_an_answer_begins_a_head() -> None:
    """A parser skips it, and with it the time that a quiet connection has would be over."""
    async with serving(Impatient) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n0")
        writer.write(b"\r\n")

        async with asyncio.timeout(DEADLINE_S):
            rest = await reader.read()
            await closed(writer)

    assert rest.startswith(b"HTTP/1.1 408 Request Timeout")


async def test_bodies_and_later_requests_are_none_of_it() -> None:
    """Any number of requests on one connection, with bodies of any size, each with a head of its own."""
    async with (
        serving(BoundedHttp) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=DEADLINE_S) as client,
    ):
        headers = {"x-long": "a" * (MAX_HEAD_BYTES // 2)}
        answers = [await client.post("/", content=b"b" * size, headers=headers) for size in (4 * MAX_HEAD_BYTES, 0, 1)]

    assert [answer.text for answer in answers] == [str(4 * MAX_HEAD_BYTES), "0", "1"]


async def test_a_body_that_goes_on_after_its_answer_is_no_head() -> None:
    """Who sends more than is taken still reads why, and may ask again on the same connection."""
    async with serving(BoundedHttp, refuse) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.timeout(DEADLINE_S):
            writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % (4 * MAX_HEAD_BYTES))
            await reader.readuntil(b"too much")
            writer.write(b"b" * (4 * MAX_HEAD_BYTES) + b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            status = await reader.readline()
            await closed(writer)

    assert status.startswith(b"HTTP/1.1 413 ")


async def test_a_body_without_end_is_given_up_once_it_is_answered() -> None:
    """Somebody who is told that it is too much cannot go on for ever."""
    async with serving(Impatient, refuse) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(DEADLINE_S):
                while not reader.at_eof():
                    writer.write(b"b")
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(0.02):
                            await reader.read(1_000)
        await closed(writer)


async def test_what_comes_behind_a_body_is_no_header() -> None:
    """Headers are checked before the body is read."""
    async with serving(BoundedHttp, tell_headers) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.timeout(DEADLINE_S):
            writer.write(b"POST / HTTP/1.1\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n")
            writer.write(b"1\r\nb\r\n0\r\nx-api-key: late\r\n\r\n")
            answer = await reader.read()
            await closed(writer)

    assert answer.endswith(b"connection transfer-encoding")


async def test_the_port_that_prometheus_reads_takes_no_larger_head_either() -> None:
    """It is open to whoever reaches the pod."""
    port = free_port()
    async with open_to_prometheus(port):
        await until_open(port)
        refused = await status_of(port, b"GET /metrics HTTP/1.1\r\nx: " + b"x" * MAX_HEAD_BYTES)
        scraped = await status_of(port, b"GET /metrics HTTP/1.1\r\nconnection: close\r\n\r\n")

    assert refused == b"HTTP/1.1 431 Request Header Fields Too Large"
    assert scraped == b"HTTP/1.1 200 OK"


async def until_open(port: int) -> None:
    """Return once somebody listens."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.01)
            else:
                await closed(writer)
                return

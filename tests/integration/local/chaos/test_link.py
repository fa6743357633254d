"""The TCP proxy in front of a neighbour."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.ports import free_port
from tests.waiting import DEADLINE_S

from vexa_local.chaos.link import Condition, Link
from vexa_local.ports import LOOPBACK


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while received := await reader.read(4_096):
        writer.write(received)
    writer.close()


@pytest.fixture
async def upstream_port() -> AsyncIterator[int]:
    """Where everything comes back as it was sent."""
    server = await asyncio.start_server(echo, LOOPBACK, 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


@pytest.fixture
async def link(upstream_port: int) -> AsyncIterator[tuple[Link, int]]:
    link, port = Link(upstream_port), free_port()
    async with link.listen(port):
        yield link, port


async def said_back(port: int, text: bytes) -> bytes:
    async with asyncio.timeout(DEADLINE_S):
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
        writer.write(text)
        writer.write_eof()
        heard = await reader.read()
        writer.close()
        return heard


async def test_bytes_pass_both_ways(link: tuple[Link, int]) -> None:
    """Through one connection after another."""
    assert [await said_back(link[1], b"hello") for _ in range(3)] == [b"hello"] * 3


async def test_a_reset_ends_connections_and_lets_new_ones_in(link: tuple[Link, int]) -> None:
    """As a middlebox does that has forgotten them."""
    async with asyncio.timeout(DEADLINE_S):
        reader, writer = await asyncio.open_connection(LOOPBACK, link[1])
        writer.write(b"before")
        await reader.readexactly(6)

        link[0].reset()

        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()
    assert await said_back(link[1], b"after") == b"after"


async def test_a_cut_link_takes_nobody(link: tuple[Link, int]) -> None:
    """Until it is whole again."""
    link[0].condition = Condition(is_cut=True)
    with pytest.raises(ConnectionResetError):
        await said_back(link[1], b"lost")

    link[0].condition = Condition()

    assert await said_back(link[1], b"back") == b"back"


async def test_a_slow_link_passes_so_many_bytes_a_second(link: tuple[Link, int]) -> None:
    """And each of them."""
    link[0].condition = Condition(bytes_per_s=20_000)
    loop = asyncio.get_running_loop()
    began_s = loop.time()

    assert await said_back(link[1], b"x" * 10_000) == b"x" * 10_000

    assert loop.time() - began_s > 0.4


async def test_a_stalled_link_keeps_connections_and_passes_nothing(link: tuple[Link, int]) -> None:
    """Until it moves again."""
    link[0].condition = Condition(is_stalled=True)
    answer = asyncio.create_task(said_back(link[1], b"late"))
    assert await link[0].sighted(b"late", within_s=DEADLINE_S)
    assert not answer.done()

    link[0].condition = Condition()

    assert await answer == b"late"


async def test_what_a_client_sends_is_sighted(link: tuple[Link, int]) -> None:
    """What nobody sends is not."""
    waiting = asyncio.create_task(link[0].sighted(b"/epochs", within_s=DEADLINE_S))
    never = asyncio.create_task(link[0].sighted(b"/other", within_s=0.2))
    await asyncio.sleep(0)

    await said_back(link[1], b"POST /epochs HTTP/1.1")

    assert await waiting
    assert not await never

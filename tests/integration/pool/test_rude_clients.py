"""Clients that are rude to the socket itself: what they cost, and that the worker serves on."""

import asyncio
import contextlib
import resource
import socket
from collections import Counter

import httpx
import numpy as np
import psutil
import pytest
from tests.waiting import DEADLINE_S
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.uri import parse_uri

from vexa_events.stream import Hello, encode_hello
from vexa_pool.engine.scripted import spell
from vexa_pool.server.listener import MOST_WITHOUT_STREAM

from .conftest import WORDS, Samples, StartWorker, Worker

SAID = "we lost no rows last night"
SENTENCES = 200
"""What the worker tells of them, with the times of all words each time, fills every buffer on the way."""
CROWD = 2_000
SLOTS = 4
CROWD_DEADLINE_S = 4 * DEADLINE_S
MOST_GROWTH_MB = 150.0
"""Both ends of each are in this process: some seventy kilobytes a pair."""
HALF_OPEN = 100


async def refused(port: int, reason: str) -> float:
    """Ask the worker how many connections it ended for a reason."""
    async with httpx.AsyncClient(timeout=DEADLINE_S) as http:
        lines = (await http.get(f"http://127.0.0.1:{port}/metrics")).text.splitlines()
    name = f'vexa_pool_connections_refused_total{{reason="{reason}"}} '
    return sum(float(line.removeprefix(name)) for line in lines if line.startswith(name))


async def speaks_and_never_reads(port: int, audio: Samples) -> bool:
    """Send hello and audio into a socket that takes nothing; tell whether the worker hung up."""
    loop = asyncio.get_running_loop()
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
    deaf.setblocking(False)
    with deaf:
        await loop.sock_connect(deaf, ("127.0.0.1", port))
        protocol = ClientProtocol(parse_uri(f"ws://127.0.0.1:{port}"))
        protocol.send_request(protocol.connect())
        await loop.sock_sendall(deaf, b"".join(protocol.data_to_send()))
        protocol.receive_data(await loop.sock_recv(deaf, 2_048))
        protocol.send_text(encode_hello(Hello(uid="deaf", word_timestamps=True, send_last_n_segments=1_000)).encode())
        for start in range(0, audio.size, 16_000):
            protocol.send_binary(audio[start : start + 16_000].tobytes())
        try:
            async with asyncio.timeout(DEADLINE_S):
                await loop.sock_sendall(deaf, b"".join(protocol.data_to_send()))
                while True:
                    protocol.send_ping(b"")
                    await loop.sock_sendall(deaf, b"".join(protocol.data_to_send()))
                    await asyncio.sleep(0.01)
        except ConnectionError:
            return True
        except TimeoutError:
            return False


async def test_a_client_that_never_reads_is_hung_up_on(start_worker: StartWorker) -> None:
    """It is counted and gives its slot back, and a neighbour hears every word meanwhile."""
    worker = await start_worker(POOL_UNREAD_AFTER_S="0.5", POOL_SLOTS="2")
    neighbour = await worker.client()
    sentence = spell(WORDS, length_s=4.5)

    deaf = asyncio.create_task(speaks_and_never_reads(worker.port, np.tile(sentence, SENTENCES)))
    await neighbour.send(sentence)
    await neighbour.end()
    await neighbour.listen()

    assert neighbour.text == SAID
    assert await deaf
    assert await refused(worker.port, "Unread") == 1
    for _ in range(2):
        assert (await (await worker.client()).until(lambda _: True)).is_ready


def a_handshake(port: int) -> tuple[bytes, bytes]:
    """Spell a handshake and a hello once, for many to send."""
    protocol = ClientProtocol(parse_uri(f"ws://127.0.0.1:{port}"))
    protocol.send_request(protocol.connect())
    request = b"".join(protocol.data_to_send())
    hello = Frame(Opcode.TEXT, encode_hello(Hello(uid="crowd")).encode()).serialize(mask=True)
    return request, hello


async def arrives(port: int, request: bytes, hello: bytes) -> str:
    """Come as one of a crowd; tell what the answer was."""
    async with asyncio.timeout(CROWD_DEADLINE_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with contextlib.closing(writer):
            writer.write(request)
            status = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
            if status != "101":
                return status
            writer.write(hello)
            answer = await reader.readuntil(b"}")
            return next((word for word in ("WAIT", "SERVER_READY") if word.encode() in answer), repr(answer))


async def test_two_thousand_connections_at_once_are_each_answered(start_worker: StartWorker) -> None:
    """With a slot, to wait, or 503; memory stays bounded, and the worker serves on."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    worker = await start_worker(POOL_SLOTS=str(SLOTS), POOL_HELLO_WITHIN_S="60")
    memory = psutil.Process().memory_info
    before_mb = memory().rss / 1e6
    handshake = a_handshake(worker.port)

    answers = Counter(await asyncio.gather(*(arrives(worker.port, *handshake) for _ in range(CROWD))))

    assert set(answers) <= {"SERVER_READY", "WAIT", "503"}
    assert answers["SERVER_READY"] >= SLOTS
    assert memory().rss / 1e6 - before_mb < MOST_GROWTH_MB
    assert (await (await worker.client()).until(lambda _: True)).is_ready
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_a_crowd_that_says_nothing_is_bounded(worker: Worker) -> None:
    """Past the bound a handshake gets 503 and when to come back; once one leaves, another gets in."""
    request, _ = a_handshake(worker.port)
    async with contextlib.AsyncExitStack() as stack:
        silent = [await asyncio.open_connection("127.0.0.1", worker.port) for _ in range(MOST_WITHOUT_STREAM)]
        for reader, writer in silent:
            stack.callback(writer.close)
            writer.write(request)
            assert b" 101 " in await reader.readuntil(b"\r\n\r\n")

        with pytest.raises(InvalidStatus) as refusal:
            await worker.raw()
        silent[0][1].transport.abort()

        assert (refusal.value.response.status_code, refusal.value.response.headers["Retry-After"]) == (503, "1")
        assert await refused(worker.port, "crowd") == 1
        assert await gets_in(worker)


async def gets_in(worker: Worker) -> bool:
    """Try until a handshake is let through."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            with contextlib.suppress(InvalidStatus):
                return (await (await worker.client()).until(lambda _: True)).is_ready


async def half_open(port: int) -> bool:
    """Begin a handshake and drip a header without an end; tell whether the worker hung up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nX-Slow: ")
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(DEADLINE_S):
            while not reader.at_eof():
                writer.write(b"1")
                await writer.drain()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.1):
                        await reader.read(1)
    writer.close()
    return True


async def test_handshakes_that_never_end_are_cut(start_worker: StartWorker) -> None:
    """However steadily their headers come; meanwhile others get in."""
    worker = await start_worker(POOL_HELLO_WITHIN_S="0.5")

    slow = [asyncio.create_task(half_open(worker.port)) for _ in range(HALF_OPEN)]
    client = await worker.client()
    ready = await client.until(lambda _: True)

    assert ready.is_ready
    assert all(await asyncio.gather(*slow))

"""A Postgres that takes connections and says nothing more."""

import asyncio
from typing import Any

import httpx
import pytest
from tests.waiting import DEADLINE_S

from vexa_events.errors import Unavailable
from vexa_functions.store.database import ACQUIRE_TIMEOUT_S, COMMAND_TIMEOUT_S
from vexa_functions.store.tables import Store, open_store

CALLERS_WAIT_S = 10.0


class Freezing:
    """A proxy before Postgres that forwards until it is told to freeze."""

    def __init__(self, host: str, port: int) -> None:
        self._to = (host, port)
        self._thawed = asyncio.Event()
        self._thawed.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []

    def freeze(self) -> None:
        self._thawed.clear()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(*self._to)
        self._writers += [writer, back]
        for source, target in ((reader, back), (there, writer)):
            self._tasks.add(asyncio.create_task(self._pump(source, target)))

    async def aclose(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.close()

    async def _pump(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while chunk := await source.read(65_536):
            await self._thawed.wait()
            target.write(chunk)
        target.close()


@pytest.mark.parametrize("is_open", [True, False], ids=["while connected", "before connecting"])
async def test_a_hung_postgres_is_unavailable_before_callers_give_up(postgres_url: str, is_open: bool) -> None:
    """Whoever waits ten seconds is told that it may try again."""
    host, _, port = postgres_url.partition("@")[2].partition("/")[0].partition(":")
    proxy = Freezing(host, int(port))
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    url = postgres_url.replace(f"{host}:{port}", f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
    async with open_store(url, max_connections=2) as store:
        if is_open:
            await _ask(store)
        proxy.freeze()
        with pytest.raises(Unavailable):
            async with asyncio.timeout(DEADLINE_S):
                await _ask(store)
        await proxy.aclose()
        server.close()

    assert ACQUIRE_TIMEOUT_S + COMMAND_TIMEOUT_S < CALLERS_WAIT_S


async def test_a_valid_key_is_not_blamed_for_a_hung_postgres(
    postgres_url: str, start_gateway: Any, make_key: Any
) -> None:
    """Keys that nobody can look up are answered with 503 and when to return, however many come at once."""
    host, _, port = postgres_url.partition("@")[2].partition("/")[0].partition(":")
    proxy = Freezing(host, int(port))
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    there = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    url = await start_gateway(DATABASE_URL=postgres_url.replace(f"{host}:{port}", there), AUTH_POOL_MAX_SIZE="1")
    keys = [await make_key(f"user{number}@example.org") for number in range(10)]
    async with httpx.AsyncClient(base_url=url, timeout=DEADLINE_S) as client:
        before = await client.get("/health")
        proxy.freeze()
        answers = await asyncio.gather(
            *(client.get("/meetings", headers={"x-api-key": key}) for key in keys for _ in range(5))
        )
    await proxy.aclose()
    server.close()

    assert before.status_code == 200
    assert {(answer.status_code, answer.headers.get("retry-after")) for answer in answers} == {(503, "2")}


async def _ask(store: Store) -> None:
    async with store.transaction() as tables:
        await tables.meetings.count()

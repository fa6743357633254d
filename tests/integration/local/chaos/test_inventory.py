"""What is looked for in the stores and in the process table once calm has returned."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing

import pytest
import redis.asyncio as redis

from vexa_events.envelope import Event
from vexa_functions.store.census import Census
from vexa_functions.store.database import Database
from vexa_functions.store.dead_letters import DeadLetters, Failure
from vexa_functions.store.outbox import Outbox
from vexa_local.chaos.inventory import telling, undelivered
from vexa_local.chaos.orphans import MARK, orphans

SESSION = "0123456789abcdef"
BATCH = Event(
    id="b", source="/pool", type="t", data={"stream_uid": f"{SESSION}.1", "segments": [{"text": "our secret"}]}
)
FAILURE = Failure(destination="http://collector/", status_code=503, cause=None)


@pytest.fixture
async def valkey(valkey_url: str) -> AsyncIterator["redis.Redis"]:
    client: redis.Redis = redis.Redis.from_url(valkey_url)
    yield client
    await client.aclose()


async def test_rows_that_name_a_session_are_found_in_any_table(postgres_url: str) -> None:
    """Whatever the column; a session that nobody names leaves none."""
    async with aclosing(Database(postgres_url, max_connections=1)) as database, database.connection() as connection:
        await DeadLetters(connection).keep(BATCH, FAILURE)
        await Outbox(connection).add(BATCH)

        assert await Census(connection).remains(SESSION) == {"dead_letters": 1, "outbox": 1}
        assert await Census(connection).remains("another") == {}


async def test_words_of_a_session_are_found_in_valkey(valkey: "redis.Redis", valkey_url: str) -> None:
    """In streams and in plain keys; a mark that tells a position alone is none."""
    await valkey.set(f"stored:{SESSION}.1", '{"epoch": 1, "until_s": 3.0}')
    await valkey.set("other", '{"session_uid": "another", "text": "theirs"}')
    assert await telling(valkey_url, SESSION) == []

    await valkey.xadd("live:7", {"message": f'{{"session_uid":"{SESSION}","segments":[{{"text":"our secret"}}]}}'})

    assert await telling(valkey_url, SESSION) == ["live:7"]


async def test_events_that_the_broker_holds_are_counted(valkey: "redis.Redis", valkey_url: str) -> None:
    """Over all Triggers; its notes and dead letters are none of them."""
    await valkey.xadd("broker:vexa/default:dead", {"body": "x"})
    assert await undelivered(valkey_url) == 0

    for name in ("collector", "webhooks"):
        await valkey.xadd(f"broker:vexa/default:trigger:{name}", {"body": "x"})

    assert await undelivered(valkey_url) == 2


@pytest.fixture
def marked() -> Iterator[subprocess.Popen[str]]:
    """A process that carries a stand's mark."""
    program = "print('up', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", program],
        env={MARK: "this stand"},
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        yield process
        process.kill()


async def test_a_process_that_nobody_looks_after_is_an_orphan(marked: subprocess.Popen[str]) -> None:
    """Of its own stand, and only while it lives."""
    assert marked.stdout
    await asyncio.to_thread(marked.stdout.readline)

    assert [process.pid for process in orphans({}, "this stand")] == [marked.pid]
    assert orphans({}, "another stand") == []
    marked.kill()
    await asyncio.to_thread(marked.wait)
    assert orphans({}, "this stand") == []

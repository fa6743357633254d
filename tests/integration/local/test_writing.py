"""Writes in company: each gets its own answers, and many share a journey."""

import asyncio

import pytest
from tests.ports import free_port

from vexa_events.errors import Unavailable
from vexa_local.broker.valkey import open_valkey
from vexa_local.broker.writing import MAX_TOGETHER, Writer


async def test_each_write_gets_its_own_answers_and_many_share_a_journey(valkey_url: str) -> None:
    """The order is that of the calls, and no journey carries more than it may."""
    count = MAX_TOGETHER
    async with open_valkey(valkey_url) as client:
        await client.config_resetstat()
        writer = Writer(client)
        answers = await asyncio.gather(
            *(writer.write(("RPUSH", "list", number), ("LLEN", "list")) for number in range(count))
        )
        kept = await client.lrange("list", 0, -1)
        journeys = (await client.info("commandstats"))["cmdstat_exec"]["calls"]

    assert answers == [[number + 1, number + 1] for number in range(count)]
    assert [int(number) for number in kept] == list(range(count))
    assert journeys == 2


async def test_everybody_on_a_journey_hears_that_valkey_failed() -> None:
    """Nobody takes a write for done that was not."""
    async with open_valkey(f"redis://127.0.0.1:{free_port()}/0") as client:
        writer = Writer(client)
        answers = await asyncio.gather(*(writer.write(("SET", "a", n)) for n in range(3)), return_exceptions=True)

    assert [type(answer) for answer in answers] == [Unavailable] * 3


async def test_a_writer_that_is_cancelled_takes_nobody_along(valkey_url: str) -> None:
    """The others on the same journey arrive."""
    async with open_valkey(valkey_url) as client:
        writer = Writer(client)
        given_up = asyncio.create_task(writer.write(("SET", "a", 1)))
        other = asyncio.create_task(writer.write(("SET", "b", 2)))
        await asyncio.sleep(0)
        given_up.cancel()

        assert await other == [True]
        with pytest.raises(asyncio.CancelledError):
            await given_up

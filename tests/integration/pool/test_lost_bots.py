"""What a worker has heard of a bot that is gone, and that nobody will replay."""

import asyncio

import redis.asyncio as redis
from tests.waiting import eventually

from vexa_events.live import feed_key
from vexa_pool.engine.scripted import spell
from vexa_pool.streaming.clock import samples_in

from .conftest import WORDS, Client, Sink, StartWorker, bound_hello

BREAKS_OFF_S = 2.45
FRAME_S = 0.3
"""A frame that is being heard as the connection breaks may be lost with it."""
HEARD = "we lost no rows"
MEETING = 7
"""As the session's token names it."""


async def break_off(client: Client) -> None:
    """Speak, and vanish in the middle of a sentence once all of it has arrived."""
    await client.send(spell(WORDS, length_s=5.0)[: samples_in(BREAKS_OFF_S)])
    await (await client.connection.ping())
    client.connection.transport.abort()


async def test_the_last_words_of_a_bot_that_is_gone_are_stored(
    start_worker: StartWorker, storing_env: dict[str, str], sink: Sink
) -> None:
    """A bot that was killed costs none of what the worker had heard of it."""
    worker = await start_worker(**storing_env, POOL_LOST_BOT_AFTER_S="0.3")
    client = await worker.client(bound_hello())

    await break_off(client)
    await eventually(lambda: bool(sink.batches))

    assert sink.text == HEARD
    assert sink.batches[-1].until_s > BREAKS_OFF_S - FRAME_S


async def test_nothing_is_shown_of_a_bot_that_is_gone(
    start_worker: StartWorker, storing_env: dict[str, str], sink: Sink, valkey: "redis.Redis"
) -> None:
    """Its meeting may be deleted, live feed and all, before its last words are committed."""
    worker = await start_worker(**storing_env, POOL_LOST_BOT_AFTER_S="2.5")
    client = await worker.client(bound_hello())
    await break_off(client)
    await eventually(lambda: bool(client.connection.close_code))
    await asyncio.sleep(1.0)  # what is being decoded now was heard before
    await valkey.delete(feed_key(MEETING))

    await eventually(lambda: bool(sink.batches))
    await asyncio.sleep(0.5)  # nothing may come: there is no sign to wait for

    assert await valkey.exists(feed_key(MEETING)) == 0


async def test_a_bot_that_comes_back_replays_its_last_words_itself(
    start_worker: StartWorker, storing_env: dict[str, str], sink: Sink
) -> None:
    """The tail of an overtaken epoch is dropped: it may end in half a word."""
    worker = await start_worker(**storing_env, POOL_LOST_BOT_AFTER_S="5")
    client = await worker.client(bound_hello())

    await break_off(client)
    await sink.store(epoch=2, until_s=0.0)
    await asyncio.sleep(6.5)  # nothing may come: there is no sign to wait for

    assert sink.batches == []


async def test_a_worker_that_stops_does_not_wait_for_lost_bots(
    start_worker: StartWorker, storing_env: dict[str, str], sink: Sink
) -> None:
    """Stopping takes no longer for a bot that may still come back elsewhere; the fixture bounds it."""
    worker = await start_worker(**storing_env, POOL_LOST_BOT_AFTER_S="300")
    client = await worker.client(bound_hello())

    await break_off(client)

    assert sink.batches == []

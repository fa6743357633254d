"""One meeting's ring of the newest entries, on a real Valkey whose feed is trimmed under it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
import redis.asyncio as redis
from tests.waiting import DEADLINE_S

from vexa_events.identity import BotStatus
from vexa_events.live import FIELD, LiveKind, LiveMessage, feed_key
from vexa_functions.gateway.live.ring import Entry, Ring
from vexa_functions.live_feed import LiveReader
from vexa_functions.store.tables import Store

MEETING_ID = 7


@pytest.fixture
async def news() -> asyncio.Event:
    """Set when the ring has something new."""
    return asyncio.Event()


@pytest.fixture
async def ring(store: Store, valkey: "redis.Redis", news: asyncio.Event) -> AsyncIterator[Ring]:
    """A ring that follows a feed of two entries, and is up to date."""
    await append(valkey)
    await append(valkey)
    made = Ring(store, LiveReader(valkey), MEETING_ID, {"id": MEETING_ID})
    made.watchers.add(news)
    following = asyncio.create_task(made.follow())
    await told(news)
    yield made
    made.watchers.clear()  # it then ends by itself as well, where the library swallows the cancellation
    following.cancel()
    await asyncio.wait([following])


async def append(valkey: "redis.Redis", position: str = "*", *, keeping: int | None = None) -> str:
    """Add an entry; in the same instant drop all but the newest where only so many are kept."""
    message = LiveMessage(
        kind=LiveKind.STATUS, meeting_id=MEETING_ID, session_uid="s", at=datetime.now(UTC), status=BotStatus.ACTIVE
    )
    async with valkey.pipeline(transaction=True) as pipe:
        pipe.xadd(feed_key(MEETING_ID), {FIELD: message.model_dump_json()}, id=position)
        if keeping is not None:
            pipe.xtrim(feed_key(MEETING_ID), maxlen=keeping, approximate=False)
        added = await pipe.execute()
    return str(added[0])


async def told(news: asyncio.Event) -> None:
    async with asyncio.timeout(DEADLINE_S):
        await news.wait()
    news.clear()


def positions(entries: list[Entry]) -> list[str]:
    return [entry.position for entry in entries]


async def test_a_ring_holds_what_came_since_it_began(ring: Ring, valkey: "redis.Redis", news: asyncio.Event) -> None:
    """Whoever is up to date finds every later entry in it."""
    newest = await LiveReader(valkey).newest(MEETING_ID)

    added = []
    for _ in range(2):
        added.append(await append(valkey))
        await told(news)

    assert ring.covers(newest)
    assert positions(ring.after(newest)) == added
    assert positions(ring.after(added[0])) == added[1:]


async def test_a_ring_over_which_the_feed_was_trimmed_begins_anew(
    ring: Ring, valkey: "redis.Redis", news: asyncio.Event
) -> None:
    """Entries may be gone that nobody read: watchers from before have to look for themselves."""
    kept = await append(valkey)
    await told(news)

    behind_the_gap = await append(valkey, keeping=1)
    await told(news)
    later = await append(valkey)
    await told(news)

    assert ring.covers(kept) is False
    assert ring.covers(behind_the_gap) is True
    assert positions(ring.after(behind_the_gap)) == [later]


async def test_a_ring_whose_feed_began_anew_is_whole_from_there(
    ring: Ring, valkey: "redis.Redis", news: asyncio.Event
) -> None:
    """A feed that was lost and filled again holds other entries than the ring, and none that it read."""
    kept = await append(valkey)
    await told(news)

    await valkey.delete(feed_key(MEETING_ID))
    first = await append(valkey, f"{int(kept.partition('-')[0]) + 1}-0")  # within a millisecond it could be the same
    await told(news)

    assert ring.covers(kept) is False
    assert ring.covers(first) is True

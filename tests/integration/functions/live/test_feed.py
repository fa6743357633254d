"""What one watcher is sent, whatever becomes of the feed and of the ring."""

import asyncio
import json
from typing import Any

import redis.asyncio as redis
from tests.integration.functions.live.watching import WITHIN_S, Talk, Watcher

from vexa_events.identity import UserId
from vexa_events.live import feed_key
from vexa_functions.gateway.live.feed import Feed
from vexa_functions.gateway.live.ring import MAX_ENTRIES, Rings
from vexa_functions.gateway.live.wire import MeetingRef, Spelled


async def test_a_watcher_that_trimming_overtakes_is_sent_what_is_stored(
    talk: Talk, rings: Rings, valkey: "redis.Redis"
) -> None:
    """Entries that are trimmed before they are read leave no hole, and nothing says they did but the text itself."""
    stream, watcher = f"{talk.session_uid}.0", Watcher()
    feed = Feed(talk.store, rings, UserId(talk.user_id))
    for word in ("read", "trimmed", "kept"):
        await talk.commit(stream, word)
    first = (await positions(valkey, talk))[0]
    await feed.follow(MeetingRef(platform="replay", native_id="standup"), since=first)
    await valkey.xtrim(feed_key(talk.meeting_id), maxlen=1, approximate=False)

    async with asyncio.timeout(WITHIN_S):
        while watcher.text != await talk.stored():
            await take_next(feed, watcher)
    feed.close()

    assert len(watcher.text) == 3


async def test_a_watcher_from_before_the_ring_meets_it(talk: Talk, rings: Rings, valkey: "redis.Redis") -> None:
    """Each one is sent every entry once and in order, wherever it begins, and all of them the same object."""
    stream = f"{talk.session_uid}.0"
    for number in range(MAX_ENTRIES + 150):
        await talk.draft(stream, f"word {number}")
    entries = await positions(valkey, talk)
    ref = MeetingRef(platform="replay", native_id="standup")
    feeds = [Feed(talk.store, rings, UserId(talk.user_id)) for _ in range(3)]
    for feed, since in zip(feeds, (entries[0], entries[200], None), strict=True):
        await feed.follow(ref, since=since)

    async with asyncio.timeout(WITHIN_S):
        caught_up = [await heard(feeds[0], len(entries) - 1), await heard(feeds[1], len(entries) - 201)]
        await talk.draft(stream, "the last")
        last = [(await heard(feed, 1))[0] for feed in feeds]
    for feed in feeds:
        feed.close()

    ids = [[json.loads(message.text)["id"] for message in messages] for messages in caught_up]
    assert ids == [entries[1:], entries[201:]]
    assert last[0] is last[1] is last[2]


async def test_a_feed_that_goes_while_it_is_watched_is_caught_up_with_once(
    talk: Talk, rings: Rings, valkey: "redis.Redis"
) -> None:
    """Whoever was behind is sent what is stored once, and all go on with what comes next."""
    stream, ref = f"{talk.session_uid}.0", MeetingRef(platform="replay", native_id="standup")
    for word in ("long", "before"):
        await talk.commit(stream, word)
    first = (await positions(valkey, talk))[0]
    ahead, behind = (Feed(talk.store, rings, UserId(talk.user_id)) for _ in range(2))
    await ahead.follow(ref, since=None)
    await ahead.next()
    await behind.follow(ref, since=first)
    await valkey.delete(feed_key(talk.meeting_id))

    async with asyncio.timeout(WITHIN_S):
        sent = [message for _ in range(5) for message in await behind.next()]
        await talk.draft(stream, "news")
        news = [await heard(feed, 1) for feed in (ahead, behind)]
    for feed in (ahead, behind):
        feed.close()

    assert len(sent) == 2
    assert len(news) == 2


async def positions(valkey: "redis.Redis", talk: Talk) -> list[str]:
    entries: Any = await valkey.xrange(feed_key(talk.meeting_id))
    return [entry_id for entry_id, _ in entries]


async def heard(feed: Feed, count: int) -> list[Spelled]:
    messages: list[Spelled] = []
    while len(messages) < count:
        messages += await feed.next()
    return messages


async def take_next(feed: Feed, watcher: Watcher) -> None:
    for message in await feed.next():
        watcher.take(json.loads(message.text))

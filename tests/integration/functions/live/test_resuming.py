"""The live feed: whoever reads it, however often cut, ends with what is stored."""

import asyncio
import random
from collections.abc import Callable

import pytest
import redis.asyncio as redis
from tests.integration.functions.live.watching import (
    WITHIN_S,
    Json,
    Talk,
    Watcher,
    connect,
    hear,
    read_events,
    read_socket,
    say,
    start_talk,
)

from vexa_events.live import feed_key
from vexa_events.transcript import Segment, TranscriptCommitted
from vexa_functions.collector.ingest import Ingest
from vexa_functions.store.tables import Store

A_MOMENT_S = 1.0


@pytest.mark.parametrize("carrier", ["socket", "events"])
@pytest.mark.parametrize("seed", [1, 2])
async def test_a_watcher_cut_at_any_moment_ends_with_what_is_stored(
    talk: Talk, url: str, api_key: str, carrier: str, seed: int
) -> None:
    """Trimmed feeds, lost entries, duplicates, drafts and late names: the transcript is that of the database."""
    dice = random.Random(seed)
    watcher = Watcher()
    read = read_socket if carrier == "socket" else read_events
    telling = asyncio.create_task(tell(talk, dice))
    async with asyncio.timeout(WITHIN_S):
        while not telling.done():
            await read(url, api_key, talk, watcher, enough=countdown(dice.randrange(1, 12)), silence_s=A_MOMENT_S)
        await telling
        expected = await talk.stored()
        while watcher.text != expected:
            await read(url, api_key, talk, watcher, enough=lambda _: watcher.text == expected, silence_s=A_MOMENT_S)

    assert watcher.text == expected
    assert len(expected) == 40


async def test_ids_rise_and_only_what_is_new_is_sent_again(talk: Talk, url: str, api_key: str) -> None:
    """A watcher that resumes behind an entry which is still there is sent the later ones, and those alone."""
    stream = f"{talk.session_uid}.0"
    watcher = Watcher()
    for number in range(3):
        await talk.commit(stream, f"word {number}")
    await read_socket(url, api_key, talk, watcher, enough=lambda _: len(watcher.segments) == 3)
    await talk.commit(stream, "word 3")
    await talk.commit(stream, "word 4")
    resumed = Watcher(last_id=watcher.last_id)

    await read_socket(url, api_key, talk, resumed, enough=lambda _: len(resumed.segments) == 2)

    assert [segment["text"] for segment in resumed.segments.values()] == ["word 3", "word 4"]
    ids = [tuple(map(int, each.split("-"))) for each in watcher.ids + resumed.ids]
    assert ids == sorted(ids)


async def test_a_long_transcript_is_resent_in_pages_after_its_feed_is_lost(talk: Talk, url: str, api_key: str) -> None:
    """More text than one message holds arrives whole, and drafts that are no longer shown are forgotten."""
    stream = f"{talk.session_uid}.0"
    batch = talk.batch(stream, 0, "")
    segments = tuple(Segment(seq=seq, start_s=seq / 1000, end_s=(seq + 1) / 1000, text=f"w{seq}") for seq in range(150))
    for seq in range(3):
        moved = tuple(
            each.model_copy(
                update={"seq": each.seq + seq * 150, "start_s": each.start_s + seq, "end_s": each.end_s + seq}
            )
            for each in segments
        )
        full = talk.batch(stream, seq, "").model_copy(update={"segments": moved})
        await Ingest(talk.store, talk.live).take_batch(full)
    assert batch.batch_seq == 0
    await talk.valkey.delete(feed_key(talk.meeting_id))
    watcher = Watcher(last_id="5-5", drafts={stream: [{"text": "stale"}]})

    await read_events(url, api_key, talk, watcher, enough=lambda _: len(watcher.segments) == 450)

    assert watcher.text == await talk.stored()
    assert watcher.statuses == ["requested"]
    assert watcher.drafts == {}


async def test_drafts_carry_the_speaker_that_was_learnt_meanwhile(talk: Talk, url: str, api_key: str) -> None:
    """The worker knows the name of the stream's beginning; watchers see the newest."""
    stream = f"{talk.session_uid}.0"
    await talk.attribute(stream, "Maya", 1, announced=False)
    watcher = Watcher()
    await talk.draft(stream, "hel")
    reading = asyncio.create_task(
        read_socket(url, api_key, talk, watcher, enough=lambda _: bool(watcher.drafts.get(stream)))
    )
    async with asyncio.timeout(WITHIN_S):
        while not reading.done():
            await talk.draft(stream, "hello")
            await asyncio.wait([reading], timeout=0.05)

    assert watcher.drafts[stream][0]["speaker"] == "Maya"


async def test_meetings_resume_each_from_their_own_place(
    talk: Talk, store: Store, valkey: "redis.Redis", url: str, api_key: str
) -> None:
    """One socket follows several meetings; each has its own `since`, and one that is left stays silent."""
    other = await start_talk(store, valkey, "retro")
    await talk.commit(f"{talk.session_uid}.0", "first here")
    async with connect(url, api_key) as socket:
        meetings = [{**talk.ref, "since": "0-0"}, other.ref]
        await say(socket, action="subscribe", meetings=meetings)
        subscribed = await hear(socket)
        caught_up = [await hear(socket), await hear(socket)]
        await other.commit(f"{other.session_uid}.0", "first there")
        there = await hear(socket)
        await say(socket, action="unsubscribe", meetings=[talk.ref])
        left = await hear(socket)
        await talk.commit(f"{talk.session_uid}.0", "not heard")
        await other.commit(f"{other.session_uid}.0", "second there")
        then = await hear(socket)

    assert [meeting["id"] for meeting in subscribed["meetings"]] == [talk.meeting_id, other.meeting_id]
    assert caught_up[1]["payload"]["segments"][0]["text"] == "first here"
    assert there["payload"]["segments"][0]["text"] == "first there"
    assert left == {"type": "unsubscribed", "meetings": [talk.ref]}
    assert (then["meeting"]["id"], then["payload"]["segments"][0]["text"]) == (other.meeting_id, "second there")


async def tell(talk: Talk, dice: random.Random) -> None:
    """Let two streams say forty words, with everything that can happen to a feed."""
    streams = [f"{talk.session_uid}.0", f"{talk.session_uid}.1"]
    await talk.open_stream(streams[1])
    for number in range(40):
        stream = dice.choice(streams)
        await talk.draft(stream, f"perhaps {number}")
        batch = await talk.commit(stream, f"word {number}")
        await misfortune(talk, dice, batch)
        if number % 10 == 9:
            await talk.attribute(dice.choice(streams), f"speaker {number}", number)


async def misfortune(talk: Talk, dice: random.Random, batch: TranscriptCommitted) -> None:
    """Let one thing go wrong, or nothing."""
    match dice.randrange(8):
        case 0:
            await talk.valkey.xtrim(feed_key(talk.meeting_id), maxlen=dice.randrange(4), approximate=False)
        case 1:
            await Ingest(talk.store, talk.live).take_batch(batch)
        case 2:
            await talk.draft(batch.stream_uid, "a draft too many")
        case 3:
            await asyncio.sleep(dice.random() / 50)


def countdown(left: int) -> Callable[[Json], bool]:
    """Be satisfied after so many messages."""
    counted = iter(range(left))
    return lambda _: next(counted, None) is None

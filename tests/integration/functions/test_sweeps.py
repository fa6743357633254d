"""What the ticks find: text that was not shown, batches that wait in vain, every page of a long list."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis.asyncio as redis
from tests.waiting import DEADLINE_S, until_locked_out

from vexa_events.callbacks import StreamReport
from vexa_events.envelope import Event
from vexa_events.identity import BotStatus, StreamKind, Task
from vexa_events.live import FIELD, LiveMessage, feed_key, stored_key
from vexa_events.transcript import Segment, Span, SpanKind, TranscriptCommitted
from vexa_functions.collector.coverage import coverage
from vexa_functions.collector.finalizing import Finalizer
from vexa_functions.collector.ingest import Ingest
from vexa_functions.collector.repairing import Repairer
from vexa_functions.live_feed import LiveFeed
from vexa_functions.relay import Relay
from vexa_functions.store.tables import Store

STREAM = "talk.0"


class Sent:
    """A sink that takes everything."""

    async def publish(self, event: Event) -> None:
        """Forget the event."""


@pytest.fixture
async def meeting_id(store: Store) -> int:
    """A running session with one stream in its first epoch."""
    async with store.transaction() as tables:
        user = await tables.users.insert(email="ann@example.org", name=None, image_url=None, max_concurrent_bots=1)
        assert user is not None
        meeting = await tables.meetings.insert(user.id, platform="replay", native_meeting_id="talk", meeting_url=None)
        await tables.sessions.insert(
            "talk", meeting.id, bot_name="Vexa", language=None, task=Task.TRANSCRIBE, passcode=None
        )
        await tables.streams.add(STREAM, "talk", kind=StreamKind.PARTICIPANT, start_s=0.0)
        await tables.streams.next_epoch(STREAM)
    return meeting.id


def a_batch(meeting_id: int, seq: int) -> TranscriptCommitted:
    return TranscriptCommitted(
        meeting_id=meeting_id,
        user_id=1,
        session_uid="talk",
        stream_uid=STREAM,
        epoch=1,
        batch_seq=seq,
        from_s=seq,
        until_s=seq + 1,
        spans=(Span(from_s=seq, until_s=seq + 1, kind=SpanKind.SPEECH),),
        segments=(Segment(seq=seq, start_s=seq + 0.1, end_s=seq + 0.9, text=f"word{seq}"),),
    )


async def shown(valkey: "redis.Redis", meeting_id: int) -> list[str]:
    entries: Any = await valkey.xrange(feed_key(meeting_id))
    messages = [LiveMessage.model_validate_json(fields[FIELD]) for _, fields in entries]
    return [segment.text for message in messages for segment in message.segments]


async def store_without_showing(store: Store, batch: TranscriptCommitted) -> None:
    """Leave what an instance leaves that dies between the two."""
    async with store.reading() as tables:
        assert await tables.batches.store_next([batch])


async def test_text_that_was_stored_and_never_shown_is_shown_on_the_tick(
    store: Store, valkey: "redis.Redis", meeting_id: int
) -> None:
    """Also where a later batch was shown since; what was shown without a gap is not shown again."""
    live = LiveFeed(valkey)
    repairer = Repairer(store, live, grace=timedelta())
    await Ingest(store, live).take_batch(a_batch(meeting_id, 0))
    await repairer.sweep()
    assert await shown(valkey, meeting_id) == ["word0"]
    await store_without_showing(store, a_batch(meeting_id, 1))
    await Ingest(store, live).take_batch(a_batch(meeting_id, 2))

    for _ in range(3):
        await repairer.sweep()

    assert await shown(valkey, meeting_id) == ["word0", "word2", "word1", "word2"]
    assert await live.shown_until([STREAM]) == [3.0]


async def test_a_valkey_that_was_emptied_shows_and_acknowledges_everything_again(
    store: Store, valkey: "redis.Redis", meeting_id: int
) -> None:
    """Feed and marks are views: the database has what they tell."""
    ingest = Ingest(store, LiveFeed(valkey))
    for seq in range(2):
        await ingest.take_batch(a_batch(meeting_id, seq))
    await valkey.flushall()

    await Repairer(store, LiveFeed(valkey), grace=timedelta()).sweep()

    assert await shown(valkey, meeting_id) == ["word0", "word1"]
    assert await valkey.exists(stored_key(STREAM))


async def test_a_long_transcript_is_shown_again_piece_by_piece(
    store: Store, valkey: "redis.Redis", meeting_id: int
) -> None:
    """What one tick reads and shows of a stream is bounded; the next one goes on behind it."""
    for seq in range(5):
        await store_without_showing(store, a_batch(meeting_id, seq))
    repairer = Repairer(store, LiveFeed(valkey), grace=timedelta(), batches_a_tick=2)

    seen = []
    for _ in range(4):
        await repairer.sweep()
        seen.append(await shown(valkey, meeting_id))

    assert [len(words) for words in seen] == [2, 4, 5, 5]
    assert seen[-1] == [f"word{seq}" for seq in range(5)]


async def test_what_was_shown_is_remembered_as_long_as_the_session_lives(
    store: Store, valkey: "redis.Redis", meeting_id: int
) -> None:
    """A stream that is paused for a day is not shown anew from its start."""
    live = LiveFeed(valkey)
    await Ingest(store, live).take_batch(a_batch(meeting_id, 0))
    await valkey.expire(f"shown:{STREAM}", 60)

    await Repairer(store, live, grace=timedelta()).sweep()

    assert await valkey.ttl(f"shown:{STREAM}") > 3600


async def test_what_was_stored_just_now_is_left_to_whoever_stored_it(
    store: Store, valkey: "redis.Redis", meeting_id: int
) -> None:
    """Showing is a moment later than storing, and no fault yet."""
    await store_without_showing(store, a_batch(meeting_id, 0))

    await Repairer(store, LiveFeed(valkey), grace=timedelta(minutes=1)).sweep()

    assert await shown(valkey, meeting_id) == []


async def test_batches_whose_predecessor_never_comes_end_with_their_session(
    store: Store, valkey: "redis.Redis", meeting_id: int
) -> None:
    """They are removed, counted in their stream's row, and the ledger says why the audio has no text."""
    ingest = Ingest(store, LiveFeed(valkey))
    for seq in (0, 2, 3):
        await ingest.take_batch(a_batch(meeting_id, seq))
    async with store.transaction() as tables:
        await tables.streams.report_captured("talk", (StreamReport(stream_uid=STREAM, captured_until_s=4.0),))
        session = await tables.sessions.lock("talk")
        assert session is not None
        await tables.sessions.enter(session, BotStatus.COMPLETED, reason=None, evidence=None, at=datetime.now(UTC))
    relay = Relay(store, Sent(), source="/vexa/collector")

    await Finalizer(store, relay, timeout_s=3600).sweep()
    async with store.reading() as tables:
        assert not await tables.sessions.are_finalized(meeting_id)
    await Finalizer(store, relay, timeout_s=0).sweep()

    async with store.reading() as tables:
        assert await tables.sessions.are_finalized(meeting_id)
        owner = await tables.streams.owner(STREAM)
        [stream] = await tables.transcripts.streams(meeting_id)
        ledger = coverage([stream], await tables.transcripts.spans(meeting_id))
    assert owner is not None
    assert (owner.has_held, stream.discarded_batches) == (False, 2)
    assert [(gap["start"], gap["end"], gap["reason"]) for gap in ledger["missing"]] == [(1.0, 4.0, "not_stored")]


async def test_deleting_a_meeting_while_it_is_finalized_locks_nobody_out(
    store: Store, postgres_url: str, meeting_id: int
) -> None:
    """Both take the meeting first, then its sessions, then its streams; the one that comes later finds it deleted."""
    async with store.transaction() as tables:
        await tables.streams.report_captured("talk", (StreamReport(stream_uid=STREAM, captured_until_s=4.0),))
        session = await tables.sessions.lock("talk")
        assert session is not None
        await tables.sessions.enter(session, BotStatus.COMPLETED, reason=None, evidence=None, at=datetime.now(UTC))
    finalizer = Finalizer(store, Relay(store, Sent(), source="/vexa/collector"), timeout_s=0)

    async with asyncio.timeout(DEADLINE_S):
        async with store.transaction() as tables:
            await tables.erasure.hold(meeting_id)
            sweeping = asyncio.create_task(finalizer.sweep())
            await until_locked_out(postgres_url, sweeping)
            await tables.erasure.erase(meeting_id, deleted_mark=b"mark")
        await sweeping

    async with store.reading() as tables:
        assert await tables.erasure.is_erased(meeting_id)
        assert await tables.sessions.are_finalized(meeting_id)


async def test_a_sweep_goes_through_all_pages_and_begins_again(store: Store, meeting_id: int) -> None:
    """The next tick goes on where this one stopped, on whatever instance."""
    async with store.transaction() as tables:
        for number in range(4):
            await tables.sessions.insert(
                f"talk-{number}", meeting_id, bot_name="Vexa", language=None, task=Task.TRANSCRIBE, passcode=None
            )
    pages = []
    for _ in range(4):
        async with store.reading() as tables:
            after = await tables.sweeps.position("test")
            page = [session.session_uid for session in await tables.sessions.running(after=after, limit=2)]
            await tables.sweeps.move("test", page, limit=2)
        pages.append(page)

    assert pages == [["talk", "talk-0"], ["talk-1", "talk-2"], ["talk-3"], ["talk", "talk-0"]]

"""Batches that arrive together are stored together; none of them suffers from the company."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest
import redis.asyncio as redis
from tests.waiting import DEADLINE_S

from vexa_events.errors import InvalidMessage
from vexa_events.identity import StreamKind, Task
from vexa_events.live import FIELD, LiveMessage, StoredMark, feed_key, stored_key
from vexa_events.transcript import Segment, Span, SpanKind, TranscriptCommitted
from vexa_functions.collector.ingest import Ingest
from vexa_functions.live_feed import LiveFeed
from vexa_functions.store.tables import Store

STREAMS = tuple(f"talk.{number}" for number in range(8))


@dataclass(kw_only=True)
class Talk:
    """A meeting with streams in their first epoch."""

    store: Store
    valkey: "redis.Redis"
    ingest: Ingest
    meeting_id: int
    user_id: int

    def batch(self, stream_uid: str, seq: int, *, segment_seq: int | None = None) -> TranscriptCommitted:
        """Cover (seq, seq + 1] seconds with one segment."""
        span = Span(from_s=seq, until_s=seq + 1, kind=SpanKind.SPEECH)
        number = seq if segment_seq is None else segment_seq
        segment = Segment(seq=number, start_s=seq + 0.1, end_s=seq + 0.9, text=f"{stream_uid} says {seq}")
        return TranscriptCommitted(
            meeting_id=self.meeting_id,
            user_id=self.user_id,
            session_uid="talk",
            stream_uid=stream_uid,
            epoch=1,
            batch_seq=seq,
            from_s=seq,
            until_s=seq + 1,
            spans=(span,),
            segments=(segment,),
        )

    async def take(self, *batches: TranscriptCommitted) -> list[BaseException | None]:
        """Deliver them at once; tell of each what went wrong."""
        async with asyncio.timeout(DEADLINE_S):
            taken = await asyncio.gather(*map(self.ingest.take_batch, batches), return_exceptions=True)
        return [fault if isinstance(fault, BaseException) else None for fault in taken]

    async def texts(self) -> list[str]:
        async with self.store.reading() as tables:
            return sorted(segment.text for segment in await tables.transcripts.segments(self.meeting_id))

    async def shown(self) -> list[str]:
        entries: Any = await self.valkey.xrange(feed_key(self.meeting_id))
        messages = [LiveMessage.model_validate_json(fields[FIELD]) for _, fields in entries]
        return sorted(segment.text for message in messages for segment in message.segments)

    async def stored_until(self, stream_uid: str) -> float:
        mark = await self.valkey.get(stored_key(stream_uid))
        return StoredMark.model_validate_json(mark).until_s if mark else 0.0


@pytest.fixture
async def talk(store: Store, valkey: "redis.Redis") -> AsyncIterator[Talk]:
    """A running meeting."""
    async with store.transaction() as tables:
        user = await tables.users.insert(email="ann@example.org", name=None, image_url=None, max_concurrent_bots=1)
        assert user is not None
        meeting = await tables.meetings.insert(user.id, platform="replay", native_meeting_id="talk", meeting_url=None)
        await tables.sessions.insert(
            "talk", meeting.id, bot_name="Vexa", language=None, task=Task.TRANSCRIBE, passcode=None
        )
        for uid in STREAMS:
            await tables.streams.add(uid, "talk", kind=StreamKind.PARTICIPANT, start_s=0.0)
            await tables.streams.next_epoch(uid)
    async with aclosing(Ingest(store, LiveFeed(valkey))) as ingest:
        yield Talk(store=store, valkey=valkey, ingest=ingest, meeting_id=meeting.id, user_id=user.id)


async def test_batches_that_arrive_together_are_stored_in_one_transaction(talk: Talk, postgres_url: str) -> None:
    """Each is stored, shown and acknowledged as if it had come alone."""
    assert await talk.take(*(talk.batch(uid, 0) for uid in STREAMS)) == [None] * len(STREAMS)

    everything = sorted(f"{uid} says 0" for uid in STREAMS)
    assert await talk.texts() == await talk.shown() == everything
    assert [await talk.stored_until(uid) for uid in STREAMS] == [1.0] * len(STREAMS)
    connection = await asyncpg.connect(postgres_url)
    assert await connection.fetchval("SELECT count(DISTINCT xmin::text) FROM batches") == 1
    await connection.close()


async def test_a_run_delivered_five_times_in_any_order_is_stored_once(talk: Talk) -> None:
    """Duplicates, early batches and the next one may all be in the same hands at once."""
    run = [talk.batch(STREAMS[0], seq) for seq in reversed(range(4))]

    assert set(await talk.take(*(run * 5))) == {None}

    assert await talk.texts() == [f"{STREAMS[0]} says {seq}" for seq in range(4)]
    assert set(await talk.shown()) == set(await talk.texts())
    assert await talk.stored_until(STREAMS[0]) == 4.0


async def test_a_batch_that_cannot_be_stored_does_not_keep_its_neighbours_from_it(talk: Talk) -> None:
    """What breaks a constraint is refused by itself."""
    await talk.take(talk.batch(STREAMS[0], 0))
    broken = talk.batch(STREAMS[0], 1, segment_seq=0)

    answers = await talk.take(broken, talk.batch(STREAMS[1], 0))

    assert [type(answer) for answer in answers] == [asyncpg.UniqueViolationError, type(None)]
    assert await talk.texts() == [f"{STREAMS[0]} says 0", f"{STREAMS[1]} says 0"]


@pytest.mark.parametrize("wrong", [{"user_id": 999}, {"meeting_id": 999}, {"session_uid": "other"}], ids=str)
async def test_a_batch_that_claims_a_foreign_stream_is_refused_in_any_company(
    talk: Talk, wrong: dict[str, object]
) -> None:
    """The short way checks the owner as the long one does."""
    foreign = talk.batch(STREAMS[0], 0).model_copy(update=wrong)

    answers = await talk.take(foreign, talk.batch(STREAMS[1], 0))

    assert [type(answer) for answer in answers] == [InvalidMessage, type(None)]
    assert await talk.texts() == [f"{STREAMS[1]} says 0"]


async def test_a_stream_that_somebody_holds_keeps_no_other_waiting(talk: Talk) -> None:
    """Its own batch waits and is stored afterwards."""
    async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as tasks, talk.store.transaction() as tables:
        await tables.streams.lock(STREAMS[0])
        waiting = tasks.create_task(talk.ingest.take_batch(talk.batch(STREAMS[0], 0)))
        await talk.take(talk.batch(STREAMS[1], 0))
        assert await talk.texts() == [f"{STREAMS[1]} says 0"]
        assert not waiting.done()

    assert await talk.texts() == [f"{STREAMS[0]} says 0", f"{STREAMS[1]} says 0"]


@pytest.mark.parametrize("meanwhile", range(4))
async def test_nothing_is_readable_of_a_meeting_that_is_deleted_while_its_batches_arrive(
    talk: Talk, meanwhile: int
) -> None:
    """Each batch is stored before and erased, or finds the meeting deleted; it is acknowledged either way."""
    async with asyncio.TaskGroup() as tasks:
        for seq in range(6):
            if seq == meanwhile:
                tasks.create_task(erase(talk))
            assert set(await talk.take(*(talk.batch(uid, seq) for uid in STREAMS))) == {None}

    assert await talk.texts() == []
    assert [await talk.stored_until(uid) for uid in STREAMS] == [6.0] * len(STREAMS)


async def erase(talk: Talk) -> None:
    async with talk.store.transaction() as tables:
        await tables.erasure.erase(talk.meeting_id, deleted_mark=b"mark")

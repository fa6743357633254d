"""Streams of bots: published, acknowledged, resumed, fenced."""

import asyncio

import pytest
import redis.asyncio as redis
from tests.waiting import DEADLINE_S, eventually

from vexa_events.live import FIELD, LiveKind, LiveMessage, feed_key
from vexa_events.transcript import Word
from vexa_pool.engine.scripted import spell
from vexa_pool.streaming.clock import samples_in

from .conftest import STREAM, WORDS, Client, Sink, Worker, a_token, bound_hello

SAID = "we lost no rows last night"


async def play_to_the_end(client: Client, *, length_s: float = 5.0) -> None:
    await client.send(spell(WORDS, length_s=length_s))
    await client.end()


async def test_everything_is_published_then_acknowledged_to_the_bot(storing_worker: Worker, sink: Sink) -> None:
    """The batches cover the whole stream, and the bot is told when the database has it."""
    client = await storing_worker.client(bound_hello())

    await play_to_the_end(client)
    await client.until(lambda m: m.stored_until_s == 5.0)
    await client.connection.close()

    assert sink.text == SAID
    assert (sink.batches[0].from_s, sink.batches[-1].until_s) == (0.0, 5.0)
    assert [batch.batch_seq for batch in sink.batches] == list(range(len(sink.batches)))
    assert {(b.meeting_id, b.user_id, b.session_uid, b.stream_uid, b.epoch) for b in sink.batches} == {
        (7, 3, "session-1", STREAM, 1)
    }


async def test_a_failing_sink_delays_batches_and_keeps_their_order(storing_worker: Worker, sink: Sink) -> None:
    """A Broker that is down gets everything once it is back."""
    sink.status = 503
    client = await storing_worker.client(bound_hello())
    await play_to_the_end(client)
    await eventually(lambda: sink.requests >= 2)

    sink.status = 202
    await client.until(lambda m: m.stored_until_s == 5.0)

    assert sink.text == SAID
    assert [batch.batch_seq for batch in sink.batches] == list(range(len(sink.batches)))


async def test_a_batch_that_was_accepted_and_not_stored_is_sent_again(storing_worker: Worker, sink: Sink) -> None:
    """A Broker that loses an event delays it, no more."""
    sink.stores = False
    client = await storing_worker.client(bound_hello())
    await play_to_the_end(client)
    await eventually(lambda: bool(sink.batches) and sink.requests > len(sink.batches))

    sink.stores = True
    await client.until(lambda m: m.stored_until_s == 5.0)

    assert sink.text == SAID


async def test_a_newer_epoch_ends_the_older_connection(storing_worker: Worker, sink: Sink) -> None:
    """A connection that was overtaken is closed with the reason, and publishes no more."""
    sink.stores = False
    client = await storing_worker.client(bound_hello())
    await client.send(spell(WORDS, length_s=5.0))
    await eventually(lambda: bool(sink.batches))

    await sink.store(epoch=2, until_s=0.0)
    await client.listen()

    assert client.connection.close_code == 1008
    assert any("no longer the newest" in str(m.message) for m in client.messages if m.is_error)


async def test_batches_outlive_their_connection(storing_worker: Worker, sink: Sink) -> None:
    """What was committed before a connection broke is still stored."""
    sink.status = 503
    client = await storing_worker.client(bound_hello())
    await client.send(spell(WORDS, length_s=5.0))
    await client.until(lambda m: bool(m.segments and m.segments[0].completed))
    await eventually(lambda: sink.requests >= 1)
    client.connection.transport.abort()

    sink.status = 202
    await eventually(lambda: bool(sink.batches))

    assert sink.text == SAID


@pytest.mark.parametrize("cut_s", [1.2, 1.75, 2.5])
async def test_a_resumed_stream_goes_on_where_the_database_is(storing_worker: Worker, sink: Sink, cut_s: float) -> None:
    """A new epoch that replays two seconds adds the missing words once."""
    stored = [word for word in WORDS if word.end_s <= cut_s]
    audio_from_s = max(0.0, cut_s - 2.0)
    hello = bound_hello(
        epoch=2,
        from_s=cut_s,
        audio_from_s=audio_from_s,
        last_words=[Word(text=w.text, start_s=w.start_s, end_s=w.end_s) for w in stored],
    )
    client = await storing_worker.client(hello)

    await client.send(spell(WORDS, length_s=5.0)[samples_in(audio_from_s) :])
    await client.end()
    await client.until(lambda m: m.stored_until_s == 5.0)

    assert " ".join([w.text for w in stored] + [sink.text]) == SAID
    assert sink.batches[0].from_s == cut_s


async def test_hypotheses_reach_the_live_feed_under_their_later_id(
    storing_worker: Worker, sink: Sink, valkey: "redis.Redis"
) -> None:
    """Readers see words before they are stored, under the id that the stored segment will have."""
    client = await storing_worker.client(bound_hello())
    await client.send(spell(WORDS, length_s=2.5))

    async with asyncio.timeout(DEADLINE_S):
        while not (entries := await valkey.xrange(feed_key(7))):
            await asyncio.sleep(0.01)

    fields = entries[0][1]
    assert fields is not None
    message = LiveMessage.model_validate_json(fields[FIELD])
    assert (message.kind, message.stream_uid, message.meeting_id) == (LiveKind.MUTABLE, STREAM, 7)
    (segment,) = message.segments
    assert (segment.segment_id, segment.completed, segment.speaker) == (f"{STREAM}-1-0", False, "Joe")
    assert SAID.startswith(segment.text)
    assert await valkey.ttl(feed_key(7)) > 0


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"token": "nonsense"}, "token"),
        ({"token": a_token(key="another key of at least thirty-two bytes")}, "token"),
        ({"token": a_token("session-2")}, "session-1"),
        ({"from_s": 30.0, "audio_from_s": 20.0}, "20.0 s"),
    ],
)
async def test_a_binding_that_is_not_allowed_is_refused(
    storing_worker: Worker, changes: dict[str, object], named: str
) -> None:
    """A bot can write to its own session only, from where that was stored."""
    client = await storing_worker.client(bound_hello(**changes))
    await client.listen()

    (error,) = [m for m in client.messages if m.is_error]
    assert named in str(error.message)
    assert client.connection.close_code == 1008


async def test_silence_is_acknowledged_too(storing_worker: Worker, sink: Sink) -> None:
    """A quiet participant's stream advances in the database while it is quiet."""
    client = await storing_worker.client(bound_hello())

    await client.send(spell((), length_s=30.0))
    message = await client.until(lambda m: m.stored_until_s is not None and m.stored_until_s > 20.0)

    assert message.stored_until_s is not None
    assert sink.text == ""


async def test_a_plain_client_is_served_beside_bots_and_nothing_of_it_is_stored(
    storing_worker: Worker, sink: Sink
) -> None:
    """A worker that stores streams is a WhisperLive server all the same."""
    client = await storing_worker.client()

    await play_to_the_end(client)
    await client.listen()

    assert client.text == SAID
    assert client.connection.close_code == 1000
    assert sink.requests == 0

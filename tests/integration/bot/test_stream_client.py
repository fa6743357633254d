"""One stream against a real WebSocket and a real HTTP server, with every way to lose them."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from functools import partial
from http import HTTPStatus

import httpx
import pytest
from tests.integration.bot.conftest import BotsTwin, PoolTwin
from tests.waiting import DEADLINE_S, eventually

from vexa_bot.bots_client import BotsClient, SessionRejected
from vexa_bot.credential import Credential
from vexa_bot.epoch_talk import StreamIdentity, Tuning, WorkerRefused
from vexa_bot.replay_buffer import ReplayBuffer
from vexa_bot.retry import Backoff
from vexa_bot.session_clock import BYTES_PER_MS
from vexa_bot.stream_client import SAME_REFUSALS, StreamClient
from vexa_bot.tape import Tape
from vexa_bot.worker_link import open_link
from vexa_events.callbacks import Gap
from vexa_events.identity import MissingReason, SessionUid, StreamKind, StreamUid, Task
from vexa_events.stream import server_error, server_wait

UID = "session.1"
CREDENTIAL = Credential("token")
TEN_SECONDS = random.Random(7).randbytes(10_000 * BYTES_PER_MS)
TWO_MINUTES = TEN_SECONDS * 12
"""More than the kernel takes for a worker that does not read."""


class _Stream:
    """A client under test and the task that runs it."""

    def __init__(self, client: StreamClient, buffer: ReplayBuffer) -> None:
        self.client = client
        self.tape: Tape = client.tape
        self.buffer = buffer
        self.task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self.task = asyncio.create_task(self.client.run())

    def has_stored(self, until_ms: int) -> bool:
        return self.tape.stored_ms >= until_ms

    async def ended(self) -> None:
        assert self.task is not None
        async with asyncio.timeout(DEADLINE_S):
            await self.task

    def hear(self, samples: bytes) -> None:
        for offset in range(0, len(samples), 200 * BYTES_PER_MS):
            self.buffer.append(UID, self.tape.end_ms, samples[offset : offset + 200 * BYTES_PER_MS])
        self.client.wake()

    async def finish(self) -> None:
        self.tape.finish()
        self.client.wake()
        await self.ended()


def _backoff() -> Backoff:
    return Backoff(first_s=0.01, longest_s=0.05, random=random.random)


@pytest.fixture
async def stream(pool: PoolTwin, bots: BotsTwin) -> AsyncIterator[_Stream]:
    """A stream with room for 150 seconds, not yet started."""
    buffer = ReplayBuffer(bytes_per_stream=150_000 * BYTES_PER_MS, max_bytes=150_000 * BYTES_PER_MS)
    async with httpx.AsyncClient(base_url=bots.url, trust_env=False, timeout=DEADLINE_S) as http:
        calls = BotsClient(http, "session", credential=CREDENTIAL, new_backoff=_backoff, limit_s=10.0)
        client = StreamClient(
            identity=StreamIdentity(
                session_uid=SessionUid("session"), stream_uid=StreamUid(UID), credential=CREDENTIAL
            ),
            kind=StreamKind.PARTICIPANT,
            tape=buffer.open(UID, start_ms=0),
            tuning=Tuning(language="en", task=Task.TRANSCRIBE),
            open_epoch=calls.open_epoch,
            open_link=partial(open_link, pool.url, ping_s=0.1, silence_limit_s=0.5),
            backoff=_backoff(),
        )
        stream = _Stream(client, buffer)
        yield stream
        if stream.task is not None:
            stream.task.cancel()
            await asyncio.wait({stream.task})


async def test_a_lost_connection_is_followed_by_every_sample_from_two_seconds_before_the_stored_end(
    stream: _Stream, pool: PoolTwin, bots: BotsTwin
) -> None:
    """A new epoch carries on, with the words to align on, and nothing is missing."""
    pool.stores_until_ms = 5_000
    stream.start()
    stream.hear(TEN_SECONDS[: 8_000 * BYTES_PER_MS])
    await eventually(lambda: stream.tape.stored_ms == 5_000 and pool.connections[0].position_ms == 8_000)

    pool.stores_until_ms = 99_000
    pool.cut()
    stream.hear(TEN_SECONDS[8_000 * BYTES_PER_MS :])
    await stream.finish()

    first, second = pool.connections
    assert (first.binding.epoch, second.binding.epoch) == (1, 2)
    assert (second.binding.from_s, second.binding.audio_from_s) == (5.0, 3.0)
    assert second.binding.last_words
    assert first.samples == TEN_SECONDS[: 8_000 * BYTES_PER_MS]
    assert second.samples == TEN_SECONDS[3_000 * BYTES_PER_MS :]
    assert second.has_ended


async def test_losing_the_connection_again_and_again_loses_no_sample(stream: _Stream, pool: PoolTwin) -> None:
    """Each epoch covers what the one before left open, however short they are."""
    stream.start()
    for second in range(10):
        stream.hear(TEN_SECONDS[second * 1_000 * BYTES_PER_MS : (second + 1) * 1_000 * BYTES_PER_MS])
        await eventually(partial(stream.has_stored, 500 * (second + 1)))
        pool.cut()
    await stream.finish()

    edge_ms = 0
    for connection in pool.connections:
        from_ms = round(connection.binding.audio_from_s * 1_000)
        assert from_ms <= edge_ms, "an epoch begins no later than the ones before it reached"
        assert connection.samples == TEN_SECONDS[from_ms * BYTES_PER_MS :][: len(connection.samples)]
        edge_ms = max(edge_ms, connection.position_ms)
    assert edge_ms == 10_000
    epochs = [connection.binding.epoch for connection in pool.connections]
    assert epochs == sorted(set(epochs))


@pytest.mark.parametrize("answer", [server_wait(UID, 2.0), HTTPStatus.SERVICE_UNAVAILABLE])
async def test_a_full_pool_is_asked_again_until_it_has_room(
    stream: _Stream, pool: PoolTwin, bots: BotsTwin, answer: str | HTTPStatus
) -> None:
    """Whether a worker or the balancer says so; being turned away costs no epoch, at first or in mid-stream."""
    pool.answers.extend([answer] * (SAME_REFUSALS + 2))
    stream.start()
    stream.hear(TEN_SECONDS[: 4_000 * BYTES_PER_MS])
    await eventually(partial(stream.has_stored, 4_000))
    pool.answers.extend([answer] * (SAME_REFUSALS + 2))
    pool.cut()
    stream.hear(TEN_SECONDS[4_000 * BYTES_PER_MS :])

    await stream.finish()

    first, second = pool.connections
    assert second.samples == TEN_SECONDS[2_000 * BYTES_PER_MS :]
    assert [first.binding.epoch, second.binding.epoch] == [1, 2] == [epoch for _, epoch in bots.epochs]
    assert pool.refused == 2 * (SAME_REFUSALS + 2)


async def test_a_pool_that_is_away_is_found_when_it_comes_back(
    stream: _Stream, pool: PoolTwin, bots: BotsTwin, caplog: pytest.LogCaptureFixture
) -> None:
    """Audio heard meanwhile waits in the buffer, the stream is known, and attempts in vain cost no epochs."""
    await pool.stop()
    stream.start()
    stream.hear(TEN_SECONDS)
    await eventually(lambda: caplog.messages.count("epoch ended early") >= 3)
    assert len(bots.epochs) == 1

    await pool.start()
    await stream.finish()

    assert pool.connections[-1].samples == TEN_SECONDS
    assert len(bots.epochs) == 1


async def test_the_same_refusal_again_and_again_is_final(stream: _Stream, pool: PoolTwin, bots: BotsTwin) -> None:
    """A language that the model lacks will not come by asking."""
    pool.answers.extend([server_error(UID, "this model knows English only")] * 50)
    stream.start()

    with pytest.raises(WorkerRefused, match="English only"):
        await stream.ended()
    assert len(bots.epochs) == SAME_REFUSALS


async def test_refusals_with_a_welcome_between_them_are_not_one_row(stream: _Stream, pool: PoolTwin) -> None:
    """A worker that could not serve for a moment does not end the session."""
    almost = [server_error(UID, "model is loading")] * (SAME_REFUSALS - 1)
    pool.answers.extend(almost)
    stream.start()
    stream.hear(TEN_SECONDS[: 1_000 * BYTES_PER_MS])
    await eventually(partial(stream.has_stored, 1_000))

    pool.answers.extend(almost)
    pool.cut()
    stream.hear(TEN_SECONDS[1_000 * BYTES_PER_MS :])
    await stream.finish()

    assert pool.refused == 2 * len(almost)
    assert len(pool.connections) == 2


async def test_an_error_in_mid_stream_opens_a_new_epoch(stream: _Stream, pool: PoolTwin) -> None:
    """A worker that finds itself fenced says so, and what it did not store comes again."""
    pool.stores_until_ms = 2_000
    stream.start()
    stream.hear(TEN_SECONDS)
    await eventually(lambda: pool.connections and pool.connections[0].position_ms == 10_000)

    pool.stores_until_ms = 99_000
    await pool.connections[0].link.send(server_error(UID, "fenced by a newer epoch"))
    await stream.finish()

    assert pool.connections[1].binding.epoch == 2
    assert pool.stored_ms[UID] == 10_000


async def test_a_worker_that_falls_silent_is_left(stream: _Stream, pool: PoolTwin) -> None:
    """Even while the bot is still waiting for it to take a frame."""
    await pool.stop()
    pool.receive_bytes = 4_096
    await pool.start()
    stream.start()
    stream.hear(TWO_MINUTES[: 1_000 * BYTES_PER_MS])
    await eventually(partial(stream.has_stored, 1_000))

    pool.connections[0].link.transport.pause_reading()
    stream.hear(TWO_MINUTES[1_000 * BYTES_PER_MS :])
    await stream.finish()

    assert len(pool.connections) == 2
    assert pool.connections[1].position_ms == 120_000


async def test_a_worker_that_takes_no_audio_but_shows_life_is_not_left(stream: _Stream, pool: PoolTwin) -> None:
    """Under load it lags, and leaving would make it begin anew."""
    await pool.stop()
    pool.ping_s, pool.receive_bytes = 0.05, 4_096
    await pool.start()
    stream.start()
    stream.hear(TWO_MINUTES[: 1_000 * BYTES_PER_MS])
    await eventually(partial(stream.has_stored, 1_000))

    pool.connections[0].link.transport.pause_reading()
    stream.hear(TWO_MINUTES[1_000 * BYTES_PER_MS :])
    resume_at_s = time.monotonic() + 1.5
    await eventually(lambda: time.monotonic() > resume_at_s)
    pool.connections[0].link.transport.resume_reading()
    await stream.finish()

    (connection,) = pool.connections
    assert connection.samples == TWO_MINUTES


async def test_a_new_tuning_opens_an_epoch_with_it_and_the_same_one_does_not(stream: _Stream, pool: PoolTwin) -> None:
    """Orders are repeated with every heartbeat."""
    stream.start()
    stream.hear(TEN_SECONDS[: 4_000 * BYTES_PER_MS])
    await eventually(lambda: stream.tape.stored_ms == 4_000)

    for _ in range(3):
        stream.client.retune(Tuning(language="de", task=Task.TRANSLATE))
        await eventually(lambda: len(pool.connections) == 2)
    stream.hear(TEN_SECONDS[4_000 * BYTES_PER_MS :])
    await stream.finish()

    first, second = (connection.hello for connection in pool.connections)
    assert (first.language, first.task) == ("en", Task.TRANSCRIBE)
    assert (second.language, second.task) == ("de", Task.TRANSLATE)
    assert pool.connections[1].samples == TEN_SECONDS[2_000 * BYTES_PER_MS :]


async def test_a_refused_tuning_gives_way_to_the_last_that_worked(
    stream: _Stream, pool: PoolTwin, bots: BotsTwin, caplog: pytest.LogCaptureFixture
) -> None:
    """Once, however often the order is repeated, with a warning and without losing a sample."""
    pool.languages = {"en"}
    stream.start()
    stream.hear(TEN_SECONDS[: 4_000 * BYTES_PER_MS])
    await eventually(lambda: stream.tape.stored_ms == 4_000)

    stream.client.retune(Tuning(language="de", task=Task.TRANSCRIBE))
    await eventually(lambda: len(pool.connections) == 2)
    stream.client.retune(Tuning(language="de", task=Task.TRANSCRIBE))
    stream.hear(TEN_SECONDS[4_000 * BYTES_PER_MS :])
    await stream.finish()

    assert (pool.refused, len(bots.epochs)) == (1, 3)
    assert [connection.hello.language for connection in pool.connections] == ["en", "en"]
    assert pool.connections[1].samples == TEN_SECONDS[2_000 * BYTES_PER_MS :]
    (warning,) = [record for record in caplog.records if record.message == "new tuning refused, the former goes on"]
    assert warning.__dict__["cause"] == "no ear for de"


async def test_an_order_that_differs_from_the_refused_one_is_tried(stream: _Stream, pool: PoolTwin) -> None:
    """The refused one as well, once another came between."""
    pool.languages = {"en", "fr"}
    stream.start()
    for number, (language, refused) in enumerate((("de", 1), ("fr", 1), ("de", 2)), start=1):
        stream.hear(TEN_SECONDS[: 1_000 * BYTES_PER_MS])
        await eventually(partial(stream.has_stored, 1_000 * number))
        stream.client.retune(Tuning(language=language, task=Task.TRANSCRIBE))
        await eventually(partial(_has_tried, pool, refused=refused, welcomed=number + 1))
    await stream.finish()

    assert [connection.hello.language for connection in pool.connections] == ["en", "en", "fr", "fr"]


async def test_an_order_that_comes_before_the_refusal_of_the_last_one_is_not_lost_with_it(
    stream: _Stream, pool: PoolTwin
) -> None:
    """What was refused is what the hello asked for, not what is wanted by now."""
    pool.languages = {"en", "fr"}
    pool.before_refusal = partial(stream.client.retune, Tuning(language="fr", task=Task.TRANSCRIBE))
    stream.start()
    stream.hear(TEN_SECONDS)
    await eventually(partial(stream.has_stored, 10_000))

    stream.client.retune(Tuning(language="de", task=Task.TRANSCRIBE))
    await eventually(lambda: len(pool.connections) == 2)
    await stream.finish()

    assert [connection.hello.language for connection in pool.connections] == ["en", "fr"]


async def test_a_stream_that_worked_outlasts_workers_that_refuse_it(stream: _Stream, pool: PoolTwin) -> None:
    """While the model is replaced by a wrong one the audio waits, and the refusal can be told."""
    stream.start()
    stream.hear(TEN_SECONDS[: 1_000 * BYTES_PER_MS])
    await eventually(partial(stream.has_stored, 1_000))

    pool.languages = {"fr"}
    pool.cut()
    await eventually(lambda: pool.refused > SAME_REFUSALS)
    assert stream.client.refusal == "no ear for en"

    pool.languages = {"en"}
    stream.hear(TEN_SECONDS[1_000 * BYTES_PER_MS :])
    await stream.finish()

    assert stream.client.refusal == ""
    assert pool.stored_ms[UID] == 10_000


async def test_when_the_database_turns_out_to_have_everything_no_worker_is_bothered(
    stream: _Stream, pool: PoolTwin, bots: BotsTwin
) -> None:
    """The acknowledgement was lost with the connection; asking for an epoch tells."""
    pool.stores_until_ms = 0
    stream.start()
    stream.hear(TEN_SECONDS)
    stream.tape.finish()
    stream.client.wake()
    await eventually(lambda: pool.connections and pool.connections[0].has_ended)

    pool.stored_ms[UID] = 10_000
    pool.cut()
    await stream.finish()

    assert (len(bots.epochs), len(pool.connections)) == (2, 1)


async def test_a_stream_whose_end_is_stored_before_capture_is_over_ends_without_another_word(stream: _Stream) -> None:
    """No acknowledgement comes for nothing new."""
    stream.start()
    stream.hear(TEN_SECONDS)
    await eventually(lambda: stream.tape.stored_ms == 10_000)

    await stream.finish()


async def test_audio_that_the_bound_cost_arrives_as_a_gap_that_says_so(stream: _Stream, pool: PoolTwin) -> None:
    """160 seconds into room for 150, before there is a worker."""
    for _ in range(16):
        stream.hear(TEN_SECONDS)
    stream.start()

    await stream.finish()

    (connection,) = pool.connections
    assert connection.gaps == [Gap(from_s=0.0, until_s=10.0, reason=MissingReason.BOT_BUFFER_FULL)]
    assert connection.samples == TEN_SECONDS * 15
    assert stream.buffer.dropped_ms == 10_000


async def test_a_bots_function_that_is_away_for_a_while_only_delays(
    stream: _Stream, pool: PoolTwin, bots: BotsTwin
) -> None:
    """Restarting, scaled to zero, or overloaded: the epoch is asked for again."""
    bots.answers.extend([503, 500, 429, 408])
    stream.start()
    stream.hear(TEN_SECONDS)

    await stream.finish()

    assert pool.connections[0].samples == TEN_SECONDS


@pytest.mark.parametrize("status", [401, 403, 404, 410, 422])
async def test_a_session_that_the_bots_function_rejects_is_not_asked_for_again(
    stream: _Stream, bots: BotsTwin, status: int
) -> None:
    """These answers are final."""
    bots.answers.append(status)
    stream.start()

    with pytest.raises(SessionRejected, match=str(status)):
        await stream.ended()
    assert not bots.epochs


def _has_tried(pool: PoolTwin, *, refused: int, welcomed: int) -> bool:
    return pool.refused == refused and len(pool.connections) == welcomed

"""Clients of WhisperLive, which know nothing of stored streams."""

import asyncio
from itertools import pairwise

import httpx
import numpy as np
import pytest
from tests.telemetry import otlp_receiver
from tests.waiting import DEADLINE_S, eventually

from vexa_events.callbacks import Gap
from vexa_events.identity import MissingReason
from vexa_events.stream import Hello, encode_gap
from vexa_pool.engine.scripted import spell

from .conftest import WORDS, StartWorker, Worker

SAID = "we lost no rows last night"


async def test_a_client_gets_ready_then_its_text_then_a_clean_close(worker: Worker) -> None:
    """END_OF_AUDIO right behind the speech flushes it, and the connection closes with 1000."""
    client = await worker.client()

    await client.send(spell(WORDS, length_s=3.5))
    await client.end()
    await client.listen()

    assert client.messages[0].is_ready
    assert client.messages[0].backend == "faster_whisper"
    assert client.text == SAID
    assert client.connection.close_code == 1000


async def test_the_open_segment_is_shown_last_while_someone_speaks(worker: Worker) -> None:
    """Before any pause the words so far are there, not completed."""
    client = await worker.client()

    await client.send(spell(WORDS, length_s=2.0))
    message = await client.until(lambda m: m.segments is not None)

    assert message.segments is not None
    assert [s.completed for s in message.segments] == [False]
    assert message.segments[0].text.startswith("we")


async def test_a_client_that_wants_no_voice_detection_is_told_that_it_has_it(worker: Worker) -> None:
    """A warning on the wire instead of silence about an option that has no effect; the text comes all the same."""
    client = await worker.client(Hello.model_validate({"uid": "c", "use_vad": False}))

    await client.send(spell(WORDS, length_s=3.5))
    await client.end()
    await client.listen()

    (warning,) = [message for message in client.messages if message.status == "WARNING"]
    assert "use_vad" in str(warning.message)
    assert client.text == SAID


async def test_completed_segments_never_overlap(worker: Worker) -> None:
    """Official clients silently drop a completed segment that starts before the last one's end."""
    client = await worker.client()
    audio = spell(WORDS, length_s=5.0)

    await client.send(np.concatenate([audio, audio, audio]))
    await client.end()
    await client.listen()

    last = client.messages[-1].segments
    assert last is not None
    assert len(last) == 3
    assert all(float(before.end) <= float(after.start) for before, after in pairwise(last))


async def test_int16_and_float32_say_the_same(worker: Worker) -> None:
    """A bot saves half the traffic with int16."""
    client = await worker.client(Hello.model_validate({"uid": "c", "audio_format": "int16"}))
    audio = (spell(WORDS, length_s=3.5) * 32_768).astype("<i2")

    await client.connection.send(audio.tobytes())
    await client.end()
    await client.listen()

    assert client.text == SAID


async def test_minutes_in_one_burst_are_kept_and_processed_in_order(worker: Worker) -> None:
    """Nothing is trimmed when audio comes faster than it can be decoded."""
    client = await worker.client()
    audio = np.concatenate([spell(WORDS, length_s=5.0)] * 48)

    await client.send(audio, chunk=1_000_000)
    await client.end()
    await client.listen()

    assert client.text == " ".join([SAID] * 48)


async def test_word_times_come_with_completed_segments_when_asked_for(worker: Worker) -> None:
    """`word_timestamps` adds each word's start and end."""
    client = await worker.client(Hello(uid="c", word_timestamps=True))

    await client.send(spell(WORDS, length_s=3.5))
    await client.end()
    await client.listen()

    segments = client.messages[-1].segments
    assert segments is not None
    assert segments[0].words is not None
    assert [word["word"] for word in segments[0].words] == SAID.split()


async def test_a_detected_language_is_told_once(worker: Worker) -> None:
    """A client that named no language learns which one was heard."""
    client = await worker.client()
    audio = spell(WORDS, length_s=5.0)

    await client.send(np.concatenate([audio, audio]))
    await client.end()
    await client.listen()

    assert [m.language for m in client.messages if m.language] == ["en"]


async def test_a_gap_moves_the_clock(worker: Worker) -> None:
    """Text after a pause in capture has its true time."""
    client = await worker.client()

    await client.send(spell((), length_s=1.0))
    await client.connection.send(encode_gap(Gap(from_s=1.0, until_s=60.0, reason=MissingReason.CAPTURE_SILENT)))
    await client.send(spell(WORDS, length_s=3.5))
    await client.end()
    await client.listen()

    segments = client.messages[-1].segments
    assert segments is not None
    assert float(segments[0].start) == pytest.approx(60.5, abs=0.1)


async def test_one_client_too_many_is_told_to_wait(start_worker: StartWorker) -> None:
    """Full workers refuse with WAIT and minutes, and say over HTTP that they are not ready."""
    worker = await start_worker(POOL_SLOTS="1")
    first = await worker.client()
    await first.until(lambda m: m.is_ready)

    second = await worker.client()
    await second.listen()

    assert second.messages[0].is_wait
    assert isinstance(second.messages[0].message, float)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{worker.port}", timeout=DEADLINE_S) as http:
        assert (await http.get("/healthz")).status_code == 200
        assert (await http.get("/readyz")).status_code == 503
        await first.end()
        await first.listen()
        async with asyncio.timeout(DEADLINE_S):
            while (await http.get("/readyz")).status_code != 200:
                await asyncio.sleep(0.01)


async def test_a_slot_is_free_again_after_a_client_vanished(start_worker: StartWorker) -> None:
    """A connection cut without a goodbye does not keep its slot."""
    worker = await start_worker(POOL_SLOTS="1")
    first = await worker.client()
    await first.until(lambda m: m.is_ready)
    first.connection.transport.abort()

    async def is_served() -> bool:
        second = await worker.client()
        return (await second.until(lambda _: True)).is_ready

    async with asyncio.timeout(DEADLINE_S):
        while not await is_served():
            await asyncio.sleep(0.05)


async def test_clients_do_not_disturb_one_another(worker: Worker) -> None:
    """Eight streams at once each get their own words."""
    clients = [await worker.client(Hello(uid=f"c{n}")) for n in range(8)]

    async with asyncio.TaskGroup() as tasks:
        for client in clients:
            await client.send(spell(WORDS, length_s=3.5))
            await client.end()
            tasks.create_task(client.listen())

    await eventually(lambda: all(client.connection.close_code == 1000 for client in clients))
    assert [client.text for client in clients] == [SAID] * 8
    assert [{m.uid for m in client.messages} for client in clients] == [{f"c{n}"} for n in range(8)]


async def test_a_plain_clients_connection_is_one_span_of_a_trace_of_its_own(start_worker: StartWorker) -> None:
    """It tells how much was heard and decided; a client that goes without a word is no failure."""
    with otlp_receiver() as (endpoint, spans):
        worker = await start_worker(OTEL_EXPORTER_OTLP_ENDPOINT=endpoint)
        polite, rude = await worker.client(), await worker.client()
        await polite.send(spell(WORDS, length_s=3.5))
        await polite.end()
        await polite.listen()
        await rude.connection.close()
        await eventually(lambda: len(spans) == 2)

    told = {entry["key"]: entry["value"]["doubleValue"] for entry in spans[0]["attributes"]}
    assert [span["name"] for span in spans] == ["serve plain client"] * 2
    assert [(span.get("parentSpanId"), span.get("status")) for span in spans] == [(None, None)] * 2
    assert told == {"vexa.heard_s": 3.5, "vexa.decided_s": 3.5}

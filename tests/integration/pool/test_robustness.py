"""What wrong clients get, and that others do not notice."""

import asyncio
import json
from collections.abc import Sequence

import numpy as np
import pytest
from tests.waiting import DEADLINE_S

from vexa_events.stream import Hello
from vexa_pool.app import silero_detectors
from vexa_pool.engine.scripted import spell
from vexa_pool.engine.whisper import WhisperModel

from .conftest import WORDS, Client, StartWorker, Worker, bound_hello

HELLO = {"uid": "c", "language": "en", "task": "transcribe", "model": "tiny", "use_vad": True}
SAID = "we lost no rows last night"


async def faults_of(client: Client) -> tuple[str, int | None]:
    await client.listen()
    (error,) = [str(message.message) for message in client.messages if message.is_error]
    return error, client.connection.close_code


@pytest.mark.parametrize(
    ("first", "named"),
    [
        ("not json", "not JSON"),
        ("[1, 2]", "JSON object"),
        (json.dumps({"language": "en"}), "uid"),
        (json.dumps({**HELLO, "uid": ""}), "uid"),
        (json.dumps({**HELLO, "language": 5}), "language"),
        (json.dumps({**HELLO, "task": "sing"}), "task"),
        (json.dumps({**HELLO, "audio_format": "mp3"}), "audio_format"),
        (json.dumps({**HELLO, "stream_uid": "s"}), "session_uid"),
        (json.dumps({**HELLO, "send_last_n_segments": 0}), "send_last_n_segments"),
        ("[" * 100_000, "not JSON"),
        (b"\x00" * 4_096, "binary"),
        (json.dumps({**HELLO, "language": "xx"}), "xx"),
        (json.dumps({**HELLO, "task": "translate"}), "translate"),
    ],
)
async def test_a_bad_first_message_is_answered_with_its_fault(worker: Worker, first: str | bytes, named: str) -> None:
    """Nobody is closed without a word; the next client is served."""
    connection = await worker.raw()
    await connection.send(first)

    error, code = await faults_of(Client(connection))

    assert named in error
    assert code == 1008
    assert (await (await worker.client()).until(lambda _: True)).is_ready


@pytest.mark.parametrize(
    ("frames", "named"),
    [
        ([b"\x00" * 4_095], "whole float32 samples"),
        (["hello?"], "not JSON"),
        (['{"gap": {"from_s": 5, "until_s": "later", "reason": "page_lost"}}'], "until_s"),
        ([b"\x00" * 64_000, '{"gap": {"from_s": 0, "until_s": 0.5, "reason": "page_lost"}}'], "does not reach past"),
        (['{"something": "else"}'], "gap"),
    ],
)
async def test_a_bad_frame_is_answered_with_its_fault(
    worker: Worker, frames: Sequence[str | bytes], named: str
) -> None:
    """The stream ends and the sender learns why."""
    client = await worker.client()
    for frame in frames:
        await client.connection.send(frame)

    error, code = await faults_of(client)

    assert named in error
    assert code == 1008


async def test_end_of_audio_may_be_a_text_frame(worker: Worker) -> None:
    """Some clients send it so."""
    client = await worker.client()
    await client.send(spell(WORDS, length_s=3.5))

    await client.connection.send("END_OF_AUDIO")
    await client.listen()

    assert client.text == SAID


async def test_extra_fields_of_official_clients_are_accepted(worker: Worker) -> None:
    """Whatever else a hello says, such as bogus parameters, harms nobody."""
    connection = await worker.raw()
    extra = {"vad_parameters": {"bogus": 1}, "max_clients": 4, "hotwords": None, "clip_audio": False, "task": None}

    await connection.send(json.dumps({**HELLO, **extra}))

    assert (await Client(connection).until(lambda _: True)).is_ready


@pytest.mark.parametrize("bad", [np.nan, np.inf, 30_000.0])
async def test_values_that_are_no_sound_are_silence_with_a_warning(worker: Worker, bad: float) -> None:
    """The stream survives, and its owner learns of it."""
    client = await worker.client()
    await client.send(np.full(16_000, bad, np.float32))

    await client.send(spell(WORDS, length_s=3.5))
    await client.end()
    await client.listen()

    assert [m.status for m in client.messages if m.status] == ["WARNING"]
    assert client.text == SAID


async def test_noise_does_not_stop_the_real_model(whisper_worker: Worker) -> None:
    """Loud noise, clipped tones and silence end in a clean close, whatever is heard in them."""
    client = await whisper_worker.client()
    noise = np.random.default_rng(7).uniform(-1, 1, 5 * 16_000).astype(np.float32)
    tone = np.sign(np.sin(np.arange(3 * 16_000) / 16_000 * 2 * np.pi * 440)).astype(np.float32)

    await client.send(np.concatenate([noise, tone, np.zeros(48_000, np.float32)]))
    await client.end()
    await client.listen()

    assert client.connection.close_code == 1000


async def test_an_english_model_refuses_other_languages(start_worker: StartWorker, whisper: WhisperModel) -> None:
    """The refusal says what the model can do."""
    worker = await start_worker(whisper, silero_detectors())
    client = await worker.client(Hello(uid="c", language="de"))

    error, _ = await faults_of(client)

    assert "English only" in error


async def test_an_empty_stream_closes_cleanly(worker: Worker) -> None:
    """END_OF_AUDIO as the first frame is no fault."""
    client = await worker.client()
    await client.end()
    await client.listen()

    assert client.connection.close_code == 1000


async def test_a_worker_that_stores_nothing_says_so_to_a_bot(worker: Worker) -> None:
    """A bot's audio is not taken where its text would be lost."""
    client = await worker.client(bound_hello())

    error, code = await faults_of(client)

    assert "stores nothing" in error
    assert code == 1008


async def test_connections_that_never_speak_cost_no_slot(start_worker: StartWorker) -> None:
    """A hundred silent handshakes leave the one slot free."""
    worker = await start_worker(POOL_SLOTS="1")
    silent = [await worker.raw() for _ in range(100)]

    client = await worker.client()
    ready = await client.until(lambda _: True)

    assert ready.is_ready
    async with asyncio.TaskGroup() as tasks:
        for connection in silent:
            tasks.create_task(connection.close())


async def test_a_flood_of_garbage_connections_does_not_harm_a_stream(worker: Worker) -> None:
    """A stream goes on while others come with rubbish and vanish."""
    client = await worker.client()
    audio = spell(WORDS, length_s=3.5)
    await client.send(audio[: audio.size // 2])

    for _ in range(20):
        _, writer = await asyncio.open_connection("127.0.0.1", worker.port)
        writer.write(b"\x16\x03\x01 rubbish\r\n\r\n")
        writer.close()
        rude = await worker.raw()
        await rude.send(json.dumps(HELLO))
        rude.transport.abort()
    await client.send(audio[audio.size // 2 :])
    await client.end()
    await client.listen()

    assert client.text == SAID


async def test_a_frame_of_a_hundred_megabytes_is_not_taken_in(worker: Worker) -> None:
    """Its announcement alone closes the connection as the protocol says, 1009; a neighbour is understood."""
    neighbour = await worker.client()
    reader, writer = await asyncio.open_connection("127.0.0.1", worker.port)
    upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13"
    writer.write(f"GET / HTTP/1.1\r\nHost: a\r\n{upgrade}\r\nSec-WebSocket-Key: {'A' * 22}==\r\n\r\n".encode())
    async with asyncio.timeout(DEADLINE_S):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"\x82\xff" + (100_000_000).to_bytes(8, "big") + bytes(4) + bytes(1_000))
        closing = await reader.read(4)
    writer.close()
    await neighbour.send(spell(WORDS, length_s=3.5))
    await neighbour.end()
    await neighbour.listen()

    assert (closing[0], int.from_bytes(closing[2:4], "big")) == (0x88, 1009)
    assert neighbour.text == SAID


async def test_two_clients_of_one_uid_are_two_streams(worker: Worker) -> None:
    """A plain client's uid is its own name for itself; each hears what it said."""
    clients = [await worker.client(Hello(uid="same")), await worker.client(Hello(uid="same"))]
    for client, script in zip(clients, (WORDS, WORDS[:3]), strict=True):
        await client.send(spell(script, length_s=4.0))

    for client in clients:
        await client.end()
        await client.listen()

    assert [client.text for client in clients] == [SAID, "we lost no"]

"""Whole recordings over HTTP, as OpenAI's clients send them."""

import asyncio
import io
import socket
import threading
import wave
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import pytest
from tests.waiting import DEADLINE_S, eventually

from vexa_pool.app import silero_detectors
from vexa_pool.engine.ears import Ears
from vexa_pool.engine.model import DecodeRequest, Model
from vexa_pool.engine.scheduler import Scheduler
from vexa_pool.engine.scripted import LevelDetector, ScriptedModel, spell
from vexa_pool.engine.whisper import WhisperModel
from vexa_pool.server.metrics import PoolMetrics
from vexa_pool.server.recordings.door import PATH, RecordingsDoor
from vexa_pool.server.recordings.form import MOST_BYTES
from vexa_pool.server.recordings.transcriber import MOST_AT_ONCE, Transcriber
from vexa_pool.streaming.window import Transcription

from .conftest import WORDS, Samples, StartWorker, load_track

SAID = "we lost no rows last night"
KEY = "the key that opens this worker"


class Halting(ScriptedModel):
    """Decodes nothing until it is released."""

    def __init__(self) -> None:
        super().__init__(WORDS)
        self.released = threading.Event()
        self.calls = 0

    def transcribe(self, requests: Sequence[DecodeRequest]) -> list[Transcription]:
        self.calls += 1
        self.released.wait(DEADLINE_S)
        return super().transcribe(requests)


def wav(samples: Samples, rate_hz: int = 16_000) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((1, 2, rate_hz, 0, "NONE", ""))
        out.writeframes((samples * 32_767).round().astype("<i2").tobytes())
    return file.getvalue()


def ogg(samples: Samples) -> bytes:
    """Compress as meeting recorders do."""
    file = io.BytesIO()
    with av.open(file, "w", format="ogg") as container:
        stream = container.add_stream("libopus", rate=48_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="flt", layout="mono")
        frame.sample_rate = 16_000
        resampler = av.AudioResampler("flt", "mono", 48_000, frame_size=960)
        for out in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(out))
        container.mux(stream.encode(None))
    return file.getvalue()


MODEL = "models/medium.en"
SPOKEN = wav(spell(WORDS, length_s=4.5))


class Doors:
    """Opens doors on models; each with a caller. `close` stops them all."""

    def __init__(self, stack: AsyncExitStack, tasks: asyncio.TaskGroup) -> None:
        self._stack = stack
        self._tasks = tasks
        self.running: list[asyncio.Task[None]] = []

    async def close(self) -> None:
        await self._stack.aclose()

    async def open(self, model: Model, *, api_key: str | None = None, real_ears: bool = False) -> httpx.AsyncClient:
        ears = Ears(silero_detectors() if real_ears else LevelDetector)
        self._stack.callback(ears.close)
        scheduler = Scheduler(model, threads=1, meter=PoolMetrics())
        self.running.append(self._tasks.create_task(scheduler.run()))
        door = RecordingsDoor(Transcriber(model, ears, scheduler), api_key=api_key, model=MODEL)
        port = await self._stack.enter_async_context(door.listen("127.0.0.1", 0))
        client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=DEADLINE_S * 3)
        return await self._stack.enter_async_context(client)


@pytest.fixture
async def doors() -> AsyncIterator[Doors]:
    async with asyncio.TaskGroup() as tasks:
        async with AsyncExitStack() as stack:
            doors = Doors(stack, tasks)
            yield doors
        for task in doors.running:
            task.cancel()


async def post(caller: httpx.AsyncClient, file: bytes = SPOKEN, **fields: Any) -> httpx.Response:
    return await caller.post(PATH, files={"file": ("a.bin", file)}, data={"model": "whisper-1"} | fields)


async def test_each_format_holds_what_was_said(doors: Doors) -> None:
    """json, text, srt, vtt and verbose_json tell the same words; subtitles and the verbose one also when."""
    caller = await doors.open(ScriptedModel(WORDS))

    answers = {
        form: await post(caller, response_format=form) for form in ("json", "text", "srt", "vtt", "verbose_json")
    }

    assert {answer.status_code for answer in answers.values()} == {200}
    assert answers["json"].json() == {"text": SAID}
    assert answers["text"].text == f"{SAID}\n"
    assert answers["srt"].text.startswith("1\n00:00:00,5")
    assert answers["vtt"].text.startswith("WEBVTT\n\n00:00:00.5")
    assert SAID in answers["srt"].text
    assert SAID in answers["vtt"].text
    verbose = answers["verbose_json"].json()
    assert (verbose["text"], verbose["language"], verbose["duration"]) == (SAID, "en", 4.5)
    assert [segment["text"] for segment in verbose["segments"]] == [SAID]
    assert "words" not in verbose


async def test_words_have_times_where_asked_for(doors: Doors) -> None:
    """The granularity "word" adds every word, and drops the segments nobody asked for."""
    caller = await doors.open(ScriptedModel(WORDS))

    answer = await post(caller, response_format="verbose_json", timestamp_granularities="word")

    words = answer.json()["words"]
    assert [word["word"] for word in words] == SAID.split()
    assert words[0]["start"] == pytest.approx(0.5, abs=0.05)
    assert "segments" not in answer.json()


async def test_real_speech_is_heard_in_every_format(doors: Doors, whisper: WhisperModel, meetings_dir: Path) -> None:
    """A WAV file, and Opus in Ogg as browsers record it."""
    caller = await doors.open(whisper, real_ears=True)
    spoken = load_track(meetings_dir / "standup" / "track-joe.flac")[: 20 * 16_000]

    text = (await post(caller, wav(spoken))).json()["text"]
    answers = [await post(caller, ogg(spoken), response_format=form) for form in ("text", "srt", "vtt", "verbose_json")]

    said = set(text.lower().split())
    assert len(said) > 8
    for answer in answers:
        assert len(said & set(answer.text.lower().replace('"', " ").split())) > 0.7 * len(said)


@pytest.mark.parametrize(
    ("file", "fields", "named"),
    [
        (b"not sound", {}, "cannot be read"),
        (b"", {}, "cannot be read"),
        (b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n", {}, "cannot be read"),
        (wav(np.zeros(400, np.float32), rate_hz=7), {}, "7 samples a second"),
        (SPOKEN, {"language": "xx"}, "xx"),
        (SPOKEN, {"language": "English"}, "language"),
        (SPOKEN, {"response_format": "docx"}, "response_format"),
        (SPOKEN, {"temperature": "9"}, "temperature"),
        (SPOKEN, {"timestamp_granularities[]": "syllable"}, "granularities"),
        (SPOKEN, {"stream": "true"}, "stream"),
    ],
)
async def test_a_bad_request_is_named_in_openais_form(
    doors: Doors, file: bytes, fields: dict[str, str], named: str
) -> None:
    """The fault is said, and is the sender's."""
    caller = await doors.open(ScriptedModel(WORDS))

    answer = await post(caller, file, **fields)

    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert named in error["message"]


class Listening(ScriptedModel):
    """Remembers how it was asked."""

    def __init__(self) -> None:
        super().__init__(WORDS)
        self.asked: list[DecodeRequest] = []

    def transcribe(self, requests: Sequence[DecodeRequest]) -> list[Transcription]:
        self.asked += requests
        return super().transcribe(requests)


async def test_prompt_and_temperature_reach_every_window(doors: Doors) -> None:
    """Which then sees thirty seconds, as the model was trained to be prompted."""
    model = Listening()
    caller = await doors.open(model)

    answer = await post(caller, prompt="Kanban, rows", temperature="0.4")

    assert answer.status_code == 200
    assert {(a.prompt, a.temperature, a.window.encoder_s) for a in model.asked} == {("Kanban, rows", 0.4, 30.0)}


@pytest.mark.parametrize(("name", "status"), [("", 200), (MODEL, 200), ("medium.en", 200), ("gpt-4o-transcribe", 404)])
async def test_a_model_is_served_by_its_names_alone(doors: Doors, name: str, status: int) -> None:
    """OpenAI's own is one of them; whoever asks for another learns which."""
    caller = await doors.open(ScriptedModel(WORDS))

    answer = await post(caller, model=name)

    assert answer.status_code == status
    assert status == 200 or "whisper-1" in answer.json()["error"]["message"]


async def test_a_list_of_files_opens_none_of_them(
    doors: Doors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A caller hears nothing of what lies on the worker's disk."""
    (tmp_path / "secret.wav").write_bytes(SPOKEN)
    monkeypatch.chdir(tmp_path)
    caller = await doors.open(ScriptedModel(WORDS))

    answer = await post(caller, b"ffconcat version 1.0\nfile secret.wav\n")

    assert answer.status_code == 400


async def test_bodies_that_are_no_form_are_refused(doors: Doors) -> None:
    """JSON, a form without its boundary, one cut short, one without a file."""
    caller = await doors.open(ScriptedModel(WORDS))
    multipart = {"Content-Type": "multipart/form-data"}

    answers = [
        await caller.post(PATH, json={"file": "a"}),
        await caller.post(PATH, content=b"abc", headers=multipart),
        await caller.post(PATH, content=b"--x\r\nabc", headers={"Content-Type": "multipart/form-data; boundary=x"}),
        await caller.post(PATH, files={"sound": ("a.wav", SPOKEN)}),
    ]

    assert [answer.status_code for answer in answers] == [400] * 4
    assert all(answer.json()["error"]["message"] for answer in answers)


@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_over_the_limit_is_not_read_to_its_end(doors: Doors, announced: bool) -> None:
    """413, whether the length was announced or only came to light."""
    caller = await doors.open(ScriptedModel(WORDS))
    port = caller.base_url.port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    framing = f"Content-Length: {MOST_BYTES + 1}" if announced else "Transfer-Encoding: chunked"
    content = "Content-Type: multipart/form-data; boundary=x"
    writer.write(f"POST {PATH} HTTP/1.1\r\nHost: a\r\n{content}\r\n{framing}\r\n\r\n".encode())
    if not announced:
        head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        for body in [head, *[bytes(1 << 20)] * (MOST_BYTES >> 20)]:
            writer.write(b"%x\r\n%b\r\n" % (len(body), body))

    async with asyncio.timeout(DEADLINE_S):
        status = await reader.readline()

    assert b" 413 " in status
    writer.close()


async def test_a_full_worker_says_when_to_come_again(doors: Doors) -> None:
    """429 with Retry-After, and those that wait are served."""
    model = Halting()
    caller = await doors.open(model)

    async with asyncio.TaskGroup() as tasks:
        waiting = [tasks.create_task(post(caller)) for _ in range(MOST_AT_ONCE + 1)]
        async with asyncio.timeout(DEADLINE_S):
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        model.released.set()

    answers = sorted((task.result() for task in waiting), key=lambda answer: answer.status_code)
    assert [answer.status_code for answer in answers] == [200] * MOST_AT_ONCE + [429]
    assert int(answers[-1].headers["Retry-After"]) > 0
    assert answers[-1].json()["error"]["type"] == "rate_limit_error"


async def test_a_caller_that_leaves_makes_room(doors: Doors) -> None:
    """The next to ask is refused for what he sends, no longer for want of room."""
    model = Halting()
    caller = await doors.open(model)
    async with asyncio.TaskGroup() as tasks:
        waiting = [tasks.create_task(post(caller)) for _ in range(MOST_AT_ONCE + 1)]
        async with asyncio.timeout(DEADLINE_S):
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        next(task for task in waiting if not task.done()).cancel()

        async with asyncio.timeout(DEADLINE_S):
            while (status := (await post(caller, temperature="9")).status_code) == 429:
                await asyncio.sleep(0.01)
        model.released.set()

    assert status == 400


async def test_a_worker_that_stops_sends_callers_elsewhere(doors: Doors) -> None:
    """503 with Retry-After, at once: the caller still has the file."""
    model = Halting()
    caller = await doors.open(model)
    async with asyncio.TaskGroup() as tasks, httpx.AsyncClient(base_url=caller.base_url, timeout=DEADLINE_S) as other:
        waiting = tasks.create_task(post(other))
        await eventually(lambda: model.calls == 1)

        await doors.close()
        model.released.set()

    assert waiting.result().status_code == 503
    assert "Retry-After" in waiting.result().headers


async def test_a_key_is_asked_for_where_there_is_one(doors: Doors) -> None:
    """Without it, or with another, 401."""
    caller = await doors.open(ScriptedModel(WORDS), api_key=KEY)

    refused = [
        await caller.post(PATH, files={"file": ("a.wav", SPOKEN)}, headers=headers)
        for headers in ({}, {"Authorization": "Bearer other"}, {"Authorization": f"Basic {KEY}"})
    ]
    allowed = await caller.post(PATH, files={"file": ("a.wav", SPOKEN)}, headers={"Authorization": f"Bearer {KEY}"})

    assert [answer.status_code for answer in refused] == [401] * 3
    assert allowed.json() == {"text": SAID}


async def test_a_worker_takes_recordings_beside_streams(start_worker: StartWorker) -> None:
    """Both are heard by the one model; the port is a second one."""
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    worker = await start_worker(REST_PORT=str(port))
    client = await worker.client()
    await client.send(spell(WORDS, length_s=4.5))

    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=DEADLINE_S) as caller:
        answer = await post(caller)
        lost = await caller.get("/nowhere")
    await client.end()
    await client.listen()

    assert answer.json() == {"text": SAID}
    assert client.text == SAID
    assert (lost.status_code, lost.json()["error"]["message"]) == (404, "Not Found")

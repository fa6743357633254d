"""A pool and a bots function in memory, on real sockets, speaking the real contracts."""

import asyncio
import math
import socket
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from tests.integration.bot.bot_process import TOKEN, BotProcess, write_track
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request as Handshake
from websockets.http11 import Response as HandshakeAnswer

from vexa_events.callbacks import (
    Attribution,
    Command,
    EpochOpened,
    Gap,
    Heartbeat,
    HeartbeatAnswer,
    OpenEpoch,
    SpeakerHints,
    StatusReport,
)
from vexa_events.launch import TOKEN_VARIABLE
from vexa_events.stream import (
    AudioFrame,
    Binding,
    EndOfAudio,
    Hello,
    parse_client_frame,
    parse_hello,
    server_error,
    server_ready,
    server_stored,
)
from vexa_events.transcript import Word

BYTES_PER_MS = 32
WORDS = (Word(text="so", start_s=0.1, end_s=0.2),)


@dataclass
class Connection:
    """One accepted connection and all that came over it."""

    hello: Hello
    link: ServerConnection
    pieces: list[bytes | Gap] = field(default_factory=list)
    position_ms: int = 0
    has_ended: bool = False

    @property
    def binding(self) -> Binding:
        assert self.hello.binding is not None
        return self.hello.binding

    @property
    def samples(self) -> bytes:
        return b"".join(piece for piece in self.pieces if isinstance(piece, bytes))

    @property
    def gaps(self) -> list[Gap]:
        return [piece for piece in self.pieces if isinstance(piece, Gap)]

    def take(self, frame: AudioFrame | Gap) -> None:
        if isinstance(frame, Gap):
            assert round(frame.from_s * 1_000) == self.position_ms, "a gap begins where the audio ended"
            self.pieces.append(frame)
            self.position_ms = round(frame.until_s * 1_000)
        else:
            self.pieces.append(frame.samples)
            self.position_ms += len(frame.samples) // BYTES_PER_MS


class PoolTwin:
    """Speaks the pool's side of the wire; what it hears counts as stored at once, unless told otherwise."""

    def __init__(self) -> None:
        self.connections: list[Connection] = []
        self.answers: deque[str | HTTPStatus] = deque()
        """What the next connections get instead of a welcome: a frame, or a status at the door."""
        self.refused = 0
        self.languages: set[str] | None = None
        """The languages that are not refused; None stands for all."""
        self.before_refusal: Callable[[], None] = lambda: None
        self.stored_ms: dict[str, int] = defaultdict(int)
        self.stores_until_ms: float = math.inf
        self.port = 0
        self.ping_s: float | None = None
        self.receive_bytes = 0
        """The kernel takes about this much that the pool does not read; 0 leaves it to the kernel."""
        self._server: Server | None = None

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    async def start(self) -> None:
        listener = socket.create_server(("127.0.0.1", self.port))
        if self.receive_bytes:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.receive_bytes)
        self._server = await serve(
            self._carry,
            sock=listener,
            process_request=self._at_the_door,
            close_timeout=1,
            max_size=2**24,
            ping_interval=self.ping_s,
            ping_timeout=None,
        )
        self.port = listener.getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self.cut()
            self._server.close()
            await self._server.wait_closed()

    def cut(self) -> None:
        """Lose every connection without a word."""
        for connection in self.connections:
            connection.link.transport.abort()

    def of(self, stream_uid: str) -> list[Connection]:
        return [connection for connection in self.connections if connection.binding.stream_uid == stream_uid]

    async def acknowledge(self, connection: Connection, until_ms: int) -> None:
        uid = connection.binding.stream_uid
        self.stored_ms[uid] = max(self.stored_ms[uid], until_ms)
        await connection.link.send(server_stored(uid, self.stored_ms[uid] / 1_000))

    def _at_the_door(self, _: ServerConnection, __: Handshake) -> HandshakeAnswer | None:
        if self.answers and isinstance(self.answers[0], HTTPStatus):
            status = self.answers.popleft()
            assert isinstance(status, HTTPStatus)
            self.refused += 1
            return HandshakeAnswer(status.value, status.phrase, Headers())
        return None

    async def _carry(self, link: ServerConnection) -> None:
        try:
            hello = parse_hello(await link.recv())
            if self.answers:
                self.refused += 1
                await link.send(str(self.answers.popleft()))
                return
            if self.languages is not None and hello.language not in self.languages:
                self.refused += 1
                self.before_refusal()
                await link.send(server_error(hello.uid, f"no ear for {hello.language}"))
                return
            connection = Connection(hello, link)
            connection.position_ms = round(connection.binding.audio_from_s * 1_000)
            await link.send(server_ready(hello.uid))
            self.connections.append(connection)
            async for frame in link:
                await self._hear(connection, frame)
        except ConnectionClosed:
            return

    async def _hear(self, connection: Connection, frame: str | bytes) -> None:
        heard = parse_client_frame(frame, connection.hello.audio_format)
        if isinstance(heard, EndOfAudio):
            connection.has_ended = True
            return
        connection.take(heard)
        if connection.position_ms <= self.stores_until_ms:
            await self.acknowledge(connection, connection.position_ms)


class BotsTwin:
    """Speaks the bots function's side of the callbacks; resumes where the pool's storage ends."""

    def __init__(self, pool: PoolTwin) -> None:
        self.epochs: list[tuple[str, int]] = []
        self.opened: list[OpenEpoch] = []
        self.heartbeats: list[Heartbeat] = []
        self.statuses: list[StatusReport] = []
        self.attributions: list[Attribution] = []
        self.hints: list[SpeakerHints] = []
        self.commands: tuple[Command, ...] = ()
        self.token: str | None = None
        """Handed out with every heartbeat's answer."""
        self.answers: deque[int] = deque()
        """Status codes that the next requests get, whatever they ask."""
        self.last = ""
        """What was told last, heartbeats apart."""
        self.authorizations: set[str | None] = set()
        self.traceparents: dict[str, set[str | None]] = defaultdict(set)
        """Of which work the requests were part, by what they told."""
        self.url = ""
        self._pool = pool

    @property
    def path(self) -> list[str]:
        return [report.status.value for report in self.statuses]

    @property
    def shown(self) -> list[tuple[str, float, float]]:
        """Who was shown as speaking, from when until when."""
        return [(hint.speaker, hint.from_s, hint.until_s) for told in self.hints for hint in told.hints]

    def app(self) -> Starlette:
        return Starlette(
            routes=[Route("/internal/sessions/{session_uid}/{what}", self._answer, methods=["POST"])],
        )

    async def _answer(self, request: Request) -> Response:
        self.authorizations.add(request.headers.get("authorization"))
        self.traceparents[request.path_params["what"]].add(request.headers.get("traceparent"))
        if self.answers:
            return Response(status_code=self.answers.popleft())
        body = await request.body()
        if request.path_params["what"] != "heartbeats":
            self.last = request.path_params["what"]
        match request.path_params["what"]:
            case "epochs":
                return _json(self._open(OpenEpoch.model_validate_json(body)))
            case "heartbeats":
                self.heartbeats.append(Heartbeat.model_validate_json(body))
                return _json(HeartbeatAnswer(commands=self.commands, token=self.token))
            case "statuses":
                self.statuses.append(StatusReport.model_validate_json(body))
            case "hints":
                self.hints.append(SpeakerHints.model_validate_json(body))
            case "attributions":
                self.attributions.append(Attribution.model_validate_json(body))
                assert self.attributions[-1].stream_uid in {uid for uid, _ in self.epochs}
        return Response(status_code=204)

    def _open(self, wanted: OpenEpoch) -> EpochOpened:
        epoch = 1 + sum(uid == wanted.stream_uid for uid, _ in self.epochs)
        self.epochs.append((wanted.stream_uid, epoch))
        self.opened.append(wanted)
        stored_ms = self._pool.stored_ms[wanted.stream_uid]
        return EpochOpened(epoch=epoch, resume_from_s=stored_ms / 1_000, last_words=WORDS if stored_ms > 200 else ())


def _json(message: EpochOpened | HeartbeatAnswer) -> Response:
    return Response(message.model_dump_json(), media_type="application/json")


@pytest.fixture
async def pool() -> AsyncIterator[PoolTwin]:
    """A pool that welcomes everybody."""
    twin = PoolTwin()
    await twin.start()
    yield twin
    await twin.stop()


@pytest.fixture
async def bots(pool: PoolTwin) -> AsyncIterator[BotsTwin]:
    """A bots function that knows every session."""
    twin = BotsTwin(pool)
    listener = socket.create_server(("127.0.0.1", 0))
    twin.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    config = uvicorn.Config(twin.app(), lifespan="off", ws="none", log_level="warning")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    yield twin
    server.should_exit = True
    await serving


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """A short meeting of two and a long one of one."""
    (tmp_path / "short").mkdir()
    (tmp_path / "long").mkdir()
    write_track(tmp_path / "short" / "track-ann.wav", seconds=1.5, tone_hz=440)
    write_track(tmp_path / "short" / "track-bob.wav", seconds=1.0, tone_hz=880)
    write_track(tmp_path / "long" / "track-ann.wav", seconds=60.0, tone_hz=440)
    return tmp_path


@pytest.fixture
async def bot(pool: PoolTwin, bots: BotsTwin, recordings: Path) -> AsyncIterator[BotProcess]:
    """A bot with quick heartbeats, not yet started."""
    bot = BotProcess(
        {
            TOKEN_VARIABLE: TOKEN,
            "BOT_MANAGER_URL": bots.url,
            "STREAM_URL": pool.url,
            "VEXA_REPLAY_DIR": str(recordings),
            "BOT_HEARTBEAT_S": "0.1",
            "BOT_TERMINATE_LIMIT_S": "4",
            "BOT_RETRY_FIRST_S": "0.05",
            "BOT_RETRY_LONGEST_S": "0.1",
        }
    )
    yield bot
    await bot.aclose()

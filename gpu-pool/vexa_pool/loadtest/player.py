"""One stream of a load test: plays audio at the pace at which it was spoken, notes what it is told and when."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from vexa_events.errors import InvalidMessage, Unavailable
from vexa_events.stream import (
    END_OF_AUDIO,
    SAMPLE_RATE_HZ,
    Hello,
    ServerMessage,
    encode_hello,
    parse_server_message,
)
from vexa_pool.streaming.audio import Samples

CHUNK = 4_096
READY_TIMEOUT_S = 60.0
SETTLED_AFTER_S = 3.0
SETTLES_WITHIN_S = 15.0
"""After the last word silence follows until nothing changes any more, as in a meeting."""
CLOSES_WITHIN_S = 30.0


@dataclass(frozen=True, slots=True)
class Told:
    """What the server shows at a moment, in seconds from the first sample."""

    at_s: float
    completed: tuple[str, ...]
    open: str


@dataclass(slots=True)
class Played:
    """Everything that one stream was told."""

    told: list[Told] = field(default_factory=list)
    shed: int = 0
    """Warnings of audio that was given up."""
    fault: str | None = None


class Player:
    """Plays one stream to one server."""

    def __init__(self, url: str, uid: str, samples: Samples, *, clock: Callable[[], float]) -> None:
        self._url = url
        self._uid = uid
        self._samples = samples
        self._clock = clock
        self._began_at_s = 0.0
        self._changed_at_s = 0.0
        self._completed: dict[float, str] = {}
        self.played = Played()
        self.spoken_s = 0.0
        """How much of its audio is sent."""

    async def play(self) -> Played:
        """Play to the end; a fault is noted, not raised."""
        try:
            async with connect(self._url, compression=None, max_size=None, ping_timeout=None, proxy=None) as connection:
                await self._greet(connection)
                await self._converse(connection)
        except (OSError, TimeoutError, InvalidHandshake, InvalidMessage, ConnectionClosed, Unavailable) as exc:
            self.played.fault = f"{type(exc).__name__}: {exc}"
        return self.played

    async def _greet(self, connection: ClientConnection) -> None:
        await connection.send(encode_hello(Hello(uid=self._uid, language="en", model="tiny.en")))
        async with asyncio.timeout(READY_TIMEOUT_S):
            while True:
                message = parse_server_message(await connection.recv())
                if message.is_wait or message.is_error:
                    raise Unavailable(f"refused: {message.message}")
                if message.is_ready:
                    return

    async def _converse(self, connection: ClientConnection) -> None:
        self._began_at_s = self._changed_at_s = self._clock()
        listener = asyncio.create_task(self._listen(connection))
        try:
            await self._speak(connection)
            await connection.send(END_OF_AUDIO)
            await asyncio.wait([listener], timeout=CLOSES_WITHIN_S)
        finally:
            listener.cancel()
            await asyncio.wait([listener])

    async def _speak(self, connection: ClientConnection) -> None:
        sent = 0
        silence = np.zeros(CHUNK, np.float32)
        while sent < self._samples.size or not self._is_settled(sent):
            chunk = self._samples[sent : sent + CHUNK] if sent < self._samples.size else silence
            sent += int(chunk.size)
            await asyncio.sleep(max(0.0, self._began_at_s + sent / SAMPLE_RATE_HZ - self._clock()))
            await connection.send(chunk.tobytes())
            self.spoken_s = min(sent, self._samples.size) / SAMPLE_RATE_HZ

    def _is_settled(self, sent: int) -> bool:
        after_s = (sent - self._samples.size) / SAMPLE_RATE_HZ
        quiet_s = self._clock() - self._changed_at_s
        return after_s >= SETTLES_WITHIN_S or (after_s >= SETTLED_AFTER_S and quiet_s >= SETTLED_AFTER_S)

    async def _listen(self, connection: ClientConnection) -> None:
        try:
            while True:
                message = parse_server_message(await connection.recv())
                self._note(message)
        except ConnectionClosed as exc:
            if exc.rcvd is None or exc.rcvd.code != 1000:
                self.played.fault = f"closed: {exc}"
        except InvalidMessage as exc:
            self.played.fault = str(exc)

    def _note(self, message: ServerMessage) -> None:
        if message.status == "WARNING":
            self.played.shed += 1
        if message.is_error:
            self.played.fault = str(message.message)
        if not message.segments:
            return
        shown = ""
        for segment in message.segments:
            if segment.completed:
                self._completed[float(segment.start)] = segment.text
            else:
                shown = segment.text
        completed = tuple(text for _, text in sorted(self._completed.items()))
        told = Told(self._clock() - self._began_at_s, completed, shown)
        before = self.played.told[-1] if self.played.told else None
        if before is None or (before.completed, before.open) != (told.completed, told.open):
            self.played.told.append(told)
            self._changed_at_s = self._clock()

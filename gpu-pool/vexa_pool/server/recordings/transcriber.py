"""
Whole recordings on the model that carries the streams, after them.

One recording is decoded at a time, and only while no stream has a window due.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from vexa_events.errors import Overloaded, Unavailable
from vexa_events.identity import Task
from vexa_events.transcript import Segment, Span
from vexa_pool.engine.ears import Ears
from vexa_pool.engine.model import DecodeRequest, Model
from vexa_pool.engine.scheduler import Scheduler
from vexa_pool.server.lane import StreamLane
from vexa_pool.server.recordings.sound import read_pieces
from vexa_pool.streaming.batches import CommittedBatch
from vexa_pool.streaming.session import Due, Session, Update
from vexa_pool.streaming.window import LONGEST_S

MOST_AT_ONCE = 8
"""Recordings held in memory; the next one is refused."""
MOST_WORK_S = 900.0
"""From the upload to the text."""
MOST_UNDECODED_S = 60.0
"""Samples of a recording that wait for the model; the rest stays compressed."""
TENANT = "recordings"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How a recording is to be heard."""

    language: str | None = None
    """None lets the model detect it."""
    prompt: str = ""
    """Given to every window."""
    temperature: float = 0.0

    @property
    def is_swayed(self) -> bool:
        """Where something but the sound decides, short windows make the model repeat itself or go on by itself."""
        return bool(self.prompt) or self.temperature > 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What was said in a recording."""

    segments: tuple[Segment, ...]
    language: str
    duration_s: float

    @property
    def text(self) -> str:
        return " ".join(segment.text.strip() for segment in self.segments)


class Transcriber:
    """Takes recordings, a bounded number at once."""

    def __init__(self, model: Model, ears: Ears, scheduler: Scheduler) -> None:
        self._model = model
        self._ears = ears
        self._scheduler = scheduler
        self._held = 0
        self._turn = asyncio.Lock()

    @contextmanager
    def room(self) -> Iterator[None]:
        """Hold the room for one recording; raise Overloaded where there is none."""
        if self._held == MOST_AT_ONCE:
            raise Overloaded(f"{self._held} recordings are waiting")
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1

    async def transcribe(self, file: bytes, manner: Manner) -> Recorded:
        """Return what was said; raise InvalidMessage where the file or language is no use."""
        self._model.check(manner.language, Task.TRANSCRIBE)
        try:
            async with asyncio.timeout(MOST_WORK_S), self._turn:
                return await self._decode(file, manner)
        except TimeoutError as exc:
            raise Unavailable(f"live streams left no time for this within {MOST_WORK_S:g} s") from exc

    async def _decode(self, file: bytes, manner: Manner) -> Recorded:
        script = _Script(manner.language)
        lane = _RecordingLane(script, manner)
        self._scheduler.add_patient(lane)
        try:
            await self._feed(lane, file)
            lane.finish()
            self._scheduler.wake()
            await lane.until(lambda: lane.session.is_drained)
        finally:
            self._scheduler.remove(lane)
        return Recorded(segments=tuple(script.segments), language=script.heard_language, duration_s=lane.session.end_s)

    async def _feed(self, lane: StreamLane, file: bytes) -> None:
        detector = self._ears.detector()
        pieces = read_pieces(file)
        while (samples := await asyncio.to_thread(next, pieces, None)) is not None:
            async for piece, probabilities in self._ears.listen(detector, samples):
                lane.feed(piece, probabilities)
            self._scheduler.wake()
            await lane.until(lambda: lane.session.backlog_s < MOST_UNDECODED_S)


class _RecordingLane(StreamLane):
    """Asks for no window that would only be shown."""

    def __init__(self, script: "_Script", manner: Manner) -> None:
        super().__init__(Session(), script, language=manner.language, task=Task.TRANSCRIBE, tenant=TENANT)
        self._manner = manner

    def next_request(self) -> DecodeRequest:
        request = super().next_request()
        if self._manner.is_swayed:
            request = replace(request, window=replace(request.window, encoder_s=LONGEST_S))
        return replace(request, prompt=self._manner.prompt, temperature=self._manner.temperature)

    def due(self) -> Due | None:
        due = super().due()
        if due is None or due.is_elastic:
            return None
        return replace(due, attended_s=LONGEST_S) if self._manner.is_swayed else due


class _Script:
    """Collects what is committed."""

    def __init__(self, language: str | None) -> None:
        self.segments: list[Segment] = []
        self._language = language

    @property
    def heard_language(self) -> str:
        """Name the language asked for, else the one detected, else that of the first segment."""
        spoken = [segment.language for segment in self.segments if segment.language]
        return self._language or (spoken[0] if spoken else "")

    def language(self, language: str, probability: float) -> None:
        self._language = language

    def update(self, update: Update, *, committed_until_s: float) -> None:
        self.segments += update.committed

    def batches(self, batches: Sequence[CommittedBatch]) -> None: ...

    def shed(self, span: Span) -> None: ...

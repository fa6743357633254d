"""Whose window comes next."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import numpy as np
from tests.waiting import eventually

from vexa_events.errors import Unavailable
from vexa_events.identity import Task
from vexa_pool.engine.model import DecodeRequest
from vexa_pool.engine.scheduler import Scheduler
from vexa_pool.server.metrics import PoolMetrics
from vexa_pool.streaming.session import Due
from vexa_pool.streaming.window import Purpose, Transcription, Window

NOTHING = Transcription(words=(), language="en")


class ALane:
    """Has one window due until it is decoded."""

    tenant = ""

    def __init__(
        self, staleness_s: float, *, attended_s: float = 6.0, is_poison: bool = False, windows: int = 1
    ) -> None:
        self.staleness_s = staleness_s
        self.attended_s = attended_s
        self.is_poison = is_poison
        self.windows = windows
        self.faults: list[Exception] = []
        self.applied = 0

    @property
    def lag_s(self) -> float:
        return self.staleness_s

    def due(self) -> Due | None:
        return Due(staleness_s=self.staleness_s, attended_s=self.attended_s, is_elastic=False) if self.windows else None

    def next_request(self) -> DecodeRequest:
        self.windows -= 1
        window = Window(
            purpose=Purpose.PARTIAL,
            start=round(self.staleness_s * 10),
            samples=np.full(4, float(self.is_poison), np.float32),
            speech_s=1.0,
            encoder_s=self.attended_s,
            attended_s=self.attended_s,
            wants_word_times=False,
        )
        return DecodeRequest(window=window, language="en", task=Task.TRANSCRIBE)

    def apply(self, heard: Transcription) -> None:
        self.applied += 1

    def fail(self, error: Exception) -> None:
        self.faults.append(error)


class Recorder:
    """A model that remembers what it was given together, and refuses poison."""

    decode_batch = 4

    def __init__(self) -> None:
        self.groups: list[list[int]] = []

    def check(self, language: str | None, task: Task) -> None: ...

    def transcribe(self, requests: Sequence[DecodeRequest]) -> list[Transcription]:
        self.groups.append([request.window.start for request in requests])
        if any(request.window.samples.any() for request in requests):
            raise RuntimeError("cannot decode")
        return [NOTHING] * len(requests)


@asynccontextmanager
async def running(model: Recorder, lanes: Sequence[ALane], patient: Sequence[ALane] = ()) -> AsyncIterator[None]:
    scheduler = Scheduler(model, threads=1, meter=PoolMetrics())
    for lane in lanes:
        scheduler.add(lane)
    for lane in patient:
        scheduler.add_patient(lane)
    task = asyncio.create_task(scheduler.run())
    yield
    task.cancel()
    await asyncio.wait([task])


async def test_the_stalest_stream_comes_first_with_others_of_its_length() -> None:
    """Windows that commit attend to one length, whatever load there is; others wait for their own turn."""
    model = Recorder()
    lanes = [ALane(1.0), ALane(3.0), ALane(2.0, attended_s=12.0)]

    async with running(model, lanes):
        await eventually(lambda: all(lane.applied for lane in lanes))

    assert model.groups == [[30, 10], [20]]


async def test_a_burst_is_not_ahead_of_the_living() -> None:
    """A stream with a minute to catch up on waits for its next turn as long as any other."""
    model = Recorder()
    burst, living = ALane(60.0, windows=3), [ALane(0.9, attended_s=8.0), ALane(0.8, attended_s=10.0)]

    async with running(model, [burst, *living]):
        await eventually(lambda: burst.applied == 3)

    assert model.groups == [[600], [9], [8], [600], [600]]


async def test_a_patient_lane_waits_until_no_other_has_a_window_due() -> None:
    """Nobody listens to a recording live, however long it has waited."""
    model = Recorder()
    live, recording = ALane(1.0, windows=3), ALane(60.0)

    async with running(model, [live], [recording]):
        await eventually(lambda: recording.applied == 1)

    assert model.groups == [[10], [10], [10], [600]]


async def test_one_stream_that_the_model_cannot_take_does_not_harm_the_rest() -> None:
    """A fault ends the stream whose window it was; its neighbours are decoded again."""
    model = Recorder()
    good, bad = ALane(2.0), ALane(1.0, is_poison=True)

    async with running(model, [good, bad]):
        await eventually(lambda: bool(good.applied and bad.faults))

    assert isinstance(bad.faults[0], Unavailable)
    assert good.faults == []

"""Gives the model to the streams, turn by turn."""

import asyncio
import logging
import math
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Protocol

from vexa_events.errors import Unavailable, VexaError
from vexa_pool.engine.model import DecodeRequest, Model
from vexa_pool.engine.turns import Turn, Turns
from vexa_pool.streaming.session import Due
from vexa_pool.streaming.window import Purpose, Transcription

logger = logging.getLogger(__name__)


class Lane(Protocol):
    """One stream as the scheduler sees it."""

    @property
    def tenant(self) -> str:
        """Whose stream it is; the model's time is shared among tenants."""

    @property
    def lag_s(self) -> float:
        """How far the committed text is behind the speaker."""

    def due(self) -> Due | None:
        """Describe the window that is due; None where none is."""

    def next_request(self) -> DecodeRequest:
        """Take the window that is due."""

    def apply(self, heard: Transcription) -> None:
        """Take in its words."""

    def fail(self, error: Exception) -> None:
        """End the stream: its window could not be decoded."""


class Meter(Protocol):
    """Who wants to know how the model is used."""

    def decoding(self, purpose: Purpose, *, audio_s: float, step_s: float) -> None:
        """A window is decoded, `step_s` after its stream's last."""

    def decoded(self, took_s: float) -> None:
        """One call of the model took this long."""


class Scheduler:
    """Owns the model and its threads; lanes come and go."""

    def __init__(self, model: Model, *, threads: int, meter: Meter) -> None:
        self._model = model
        self._meter = meter
        self._threads = threads
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="model")
        self._turns = Turns(threads=threads, most=model.decode_batch)
        self._served_at_s: dict[Lane, float] = {}
        self._patient: set[Lane] = set()
        self._work = asyncio.Event()

    def lags_s(self) -> list[float]:
        """Tell of every stream how far it is behind its speaker."""
        return [lane.lag_s for lane in self._served_at_s if lane not in self._patient]

    def add(self, lane: Lane) -> None:
        """Schedule the windows of a stream from now on."""
        self._served_at_s[lane] = -math.inf
        self.wake()

    def add_patient(self, lane: Lane) -> None:
        """Schedule the windows of a lane that nobody listens to live: only while no other has one due."""
        self._patient.add(lane)
        self.add(lane)

    def remove(self, lane: Lane) -> None:
        """Stop scheduling a stream; the words of a window in flight are dropped."""
        del self._served_at_s[lane]
        self._patient.discard(lane)
        if all(other.tenant != lane.tenant for other in self._served_at_s):
            self._turns.forget(lane.tenant)

    def wake(self) -> None:
        """Say that a lane may have become due."""
        self._work.set()

    async def run(self) -> None:
        """Decode until cancelled."""
        try:
            async with asyncio.TaskGroup() as workers:
                for _ in range(self._threads):
                    workers.create_task(self._work_on())
        finally:
            self._executor.shutdown(wait=False, cancel_futures=True)

    async def _work_on(self) -> None:
        while True:
            group = self._pick()
            if not group:
                self._work.clear()
                await self._work.wait()
                continue
            await self._decode(group)
            self.wake()

    def _pick(self) -> list[tuple[Lane, DecodeRequest]]:
        """Take the windows whose turn it is."""
        now_s = asyncio.get_running_loop().time()
        due = self._due(lane for lane in self._served_at_s if lane not in self._patient) or self._due(self._patient)
        group = self._turns.choose([self._turn(lane, waiting, now_s) for lane, waiting in due])
        if group is None:
            return []
        return [self._take(*due[at], attended_s=group.attended_s, now_s=now_s) for at in group.members]

    @staticmethod
    def _due(lanes: Iterable[Lane]) -> list[tuple[Lane, Due]]:
        return [(lane, waiting) for lane in lanes if (waiting := lane.due()) is not None]

    def _turn(self, lane: Lane, waiting: Due, now_s: float) -> Turn:
        waited_s = min(waiting.staleness_s, now_s - self._served_at_s[lane])
        return Turn(tenant=lane.tenant, waited_s=waited_s, attended_s=waiting.attended_s, is_elastic=waiting.is_elastic)

    def _take(self, lane: Lane, waiting: Due, *, attended_s: float, now_s: float) -> tuple[Lane, DecodeRequest]:
        request = lane.next_request()
        self._served_at_s[lane] = now_s
        self._meter.decoding(request.window.purpose, audio_s=request.window.speech_s, step_s=waiting.staleness_s)
        return lane, replace(request, window=replace(request.window, attended_s=attended_s))

    async def _decode(self, group: Sequence[tuple[Lane, DecodeRequest]]) -> None:
        requests = [request for _, request in group]
        loop = asyncio.get_running_loop()
        began_at_s = loop.time()
        try:
            heard = await loop.run_in_executor(self._executor, self._model.transcribe, requests)
        except Exception as exc:  # noqa: BLE001 - outermost loop; a window that fails must not stop the others
            await self._decode_alone(group, exc)
            return
        took_s = loop.time() - began_at_s
        self._meter.decoded(took_s)
        self._turns.charge([lane.tenant for lane, _ in group if lane in self._served_at_s], took_s)
        for (lane, _), words in zip(group, heard, strict=True):
            if lane in self._served_at_s:
                self._hand_over(lane, words)

    def _hand_over(self, lane: Lane, heard: Transcription) -> None:
        try:
            lane.apply(heard)
        except VexaError as exc:
            lane.fail(exc)
        except Exception as exc:  # outermost loop: the fault of one stream must not stop the others
            logger.exception("words could not be applied")
            lane.fail(Unavailable(f"the worker failed: {type(exc).__name__}"))

    async def _decode_alone(self, group: Sequence[tuple[Lane, DecodeRequest]], error: Exception) -> None:
        """Find the window that the model cannot take, so that only its stream ends."""
        if len(group) > 1:
            for entry in group:
                await self._decode([entry])
            return
        logger.error("window could not be decoded", exc_info=error)
        lane = group[0][0]
        if lane in self._served_at_s:
            lane.fail(Unavailable(f"the model failed: {type(error).__name__}"))

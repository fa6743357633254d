"""
What to set on a machine: how many windows to decode at once, in which precision, and how many streams that carries.

Throughput is measured on the model alone, capacity on a worker process that is
started with what was found.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import ctranslate2
import numpy as np

from vexa_events.errors import Unavailable
from vexa_events.identity import Task
from vexa_events.stream import SAMPLE_RATE_HZ
from vexa_pool.engine.model import DecodeRequest, Model
from vexa_pool.engine.whisper import WhisperModel
from vexa_pool.loadtest.recordings import Recording
from vexa_pool.streaming.clock import samples_in
from vexa_pool.streaming.window import Purpose, Window, attended_length_s, encoder_length_s

PRECISIONS_BY_DEVICE = {"cuda": ("float16", "int8_float16"), "cpu": ("int8",)}
BATCHES = (1, 2, 4, 8, 16, 24, 32, 48, 64)
REPEATS = 3
"""The quickest counts: neighbours on the machine only add."""
SPEECH_S = 6.0
LONGEST_GROUP_S = 0.6
"""A group that takes longer makes every stream wait for it."""
NEAR_BEST = 0.95
"""A smaller batch with this share of the best throughput answers sooner."""
SPARE = 0.9
"""Slots, of the streams that were carried."""
SEARCH_SLOTS = 1_000
START_TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Throughput:
    """One precision at one batch size."""

    precision: str
    batch: int
    windows_per_s: float
    group_s: float
    """From the first window in to the last word out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """What was found."""

    device: str
    throughput: Throughput
    streams: int
    """With a partial p95 within the bound."""

    def env(self, model: str) -> str:
        """Spell it as the worker's environment."""
        values = {
            "WHISPER_MODEL": model,
            "WHISPER_DEVICE": self.device,
            "WHISPER_COMPUTE_TYPE": self.throughput.precision,
            "POOL_DECODE_BATCH": self.throughput.batch,
            "POOL_SLOTS": max(1, int(SPARE * self.streams)),
        }
        return "".join(f"{name}={value}\n" for name, value in values.items())


def check_device(device: str) -> None:
    """Raise Unavailable where the machine has no such device."""
    if device == "cuda" and not ctranslate2.get_cuda_device_count():
        raise Unavailable("CTranslate2 finds no CUDA device here: no GPU, no driver, or a container without it")


def measure(
    model: Model, recordings: Sequence[Recording], *, precision: str, clock: Callable[[], float]
) -> list[Throughput]:
    """Decode ever larger groups until one takes too long, or does not fit; blocking."""
    found: list[Throughput] = []
    for batch in BATCHES:
        requests = [_request(recordings, number) for number in range(batch)]
        try:
            took_s = [_time(model, requests, clock) for _ in range(1 + REPEATS)][1:]
        except RuntimeError:  # CTranslate2's word for a GPU whose memory is full
            break
        group_s = min(took_s)
        found.append(
            Throughput(precision=precision, batch=batch, windows_per_s=batch / max(group_s, 1e-9), group_s=group_s)
        )
        if group_s > LONGEST_GROUP_S:
            break
    return found


def measure_model(model: str, device: str, *, precision: str, recordings: Sequence[Recording]) -> list[Throughput]:
    """Load a model in a precision, measure it and let it go; blocking."""
    loaded = WhisperModel(model, device=device, compute_type=precision)
    loaded.warm_up()
    return measure(loaded, recordings, precision=precision, clock=time.monotonic)


def best(found: Iterable[Throughput]) -> Throughput:
    """Choose the smallest batch that comes near the best throughput; raise Unavailable where nothing was measured."""
    tried = [one for one in found if one.batch == 1 or one.group_s <= LONGEST_GROUP_S]
    if not tried:
        raise Unavailable("the model could not decode a single window on this device")
    most = max(one.windows_per_s for one in tried)
    return min((one for one in tried if one.windows_per_s >= NEAR_BEST * most), key=lambda one: one.batch)


@asynccontextmanager
async def worker(model: str, device: str, setting: Throughput) -> AsyncIterator[tuple[str, int]]:
    """Run a worker process with these settings; yield its URL and process id."""
    env = {
        "WHISPER_MODEL": model,
        "WHISPER_DEVICE": device,
        "WHISPER_COMPUTE_TYPE": setting.precision,
        "POOL_DECODE_BATCH": str(setting.batch),
        "POOL_SLOTS": str(SEARCH_SLOTS),
        "PORT": "0",
    }
    pairs = [f"{name}={value}" for name, value in env.items()]
    process = await asyncio.create_subprocess_exec(
        "env", *pairs, sys.executable, "-m", "vexa_pool", stdout=asyncio.subprocess.PIPE
    )
    try:
        yield f"ws://127.0.0.1:{await _port(process)}", process.pid
    finally:
        process.kill()
        await process.wait()


async def _port(process: asyncio.subprocess.Process) -> int:
    assert process.stdout is not None
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            while line := await process.stdout.readline():
                record = json.loads(line)
                if record["message"] == "worker is ready":
                    return int(record["port"])
    except TimeoutError as exc:
        raise Unavailable(f"the worker was not ready within {START_TIMEOUT_S:g} s") from exc
    raise Unavailable("the worker ended before it was ready")


def _request(recordings: Sequence[Recording], number: int) -> DecodeRequest:
    """Cut another piece of speech for each number."""
    recording = recordings[number % len(recordings)]
    length = samples_in(SPEECH_S)
    pieces = max(1, recording.samples.size // length)
    start = (number // len(recordings) % pieces) * length
    samples = recording.samples[start : start + length]
    window = Window(
        purpose=Purpose.PARTIAL,
        start=0,
        samples=np.ascontiguousarray(samples),
        speech_s=samples.size / SAMPLE_RATE_HZ,
        encoder_s=encoder_length_s(SPEECH_S),
        attended_s=attended_length_s(Purpose.PARTIAL, SPEECH_S),
        wants_word_times=False,
    )
    return DecodeRequest(window=window, language="en", task=Task.TRANSCRIBE)


def _time(model: Model, requests: Sequence[DecodeRequest], clock: Callable[[], float]) -> float:
    began_s = clock()
    model.transcribe(requests)
    return clock() - began_s

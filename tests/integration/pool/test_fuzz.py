"""Two hundred thousand frames that no sane client sends: each is understood, or refused by name."""

import asyncio
import contextlib
import json
import random
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import cast

import numpy as np
import pytest
from tests.waiting import DEADLINE_S
from websockets.asyncio.server import ServerConnection

from vexa_events.callbacks import Gap
from vexa_events.errors import InvalidMessage
from vexa_events.identity import MissingReason
from vexa_events.stream import (
    END_OF_AUDIO,
    AudioFormat,
    AudioFrame,
    Hello,
    encode_gap,
    encode_hello,
    parse_client_frame,
    parse_hello,
    parse_server_message,
)
from vexa_events.tracing import Tracer
from vexa_pool.engine.ears import Ears
from vexa_pool.engine.scheduler import Scheduler
from vexa_pool.engine.scripted import LevelDetector, ScriptedModel, spell
from vexa_pool.server.conversation import Conversation
from vexa_pool.server.metrics import PoolMetrics
from vexa_pool.server.samples import LOUDEST, read_samples
from vexa_pool.server.services import Patience, Services
from vexa_pool.server.slots import Slots

from .conftest import WORDS, bound_hello

PARSED = 165_000
CARRIED = 36_000
MOST_IN_A_ROW = 400
"""Frames of one connection; a frame that is refused ends it earlier."""
SECOND = spell(WORDS, length_s=1.0).tobytes()
GAP = encode_gap(Gap(from_s=0.0, until_s=1.0, reason=MissingReason.PAGE_LOST))
HELLOS = (encode_hello(Hello(uid="c")), encode_hello(bound_hello()))
NASTY = (
    *(
        "null",
        "true",
        "-1",
        "1e999",
        "NaN",
        "-0.0",
        "1e308",
        "9" * 400,
        '""',
        '"\\ud800"',
        '"\\u0000"',
        '"' + "x" * 9_999 + '"',
    ),
    *("[]", "{}", "[" * 2_000, '{"a":' * 2_000, '"float32"', '"int16"', '"en"', "1" * 5_000, '{"gap":null}'),
)
NASTY_SAMPLES = np.array([np.nan, np.inf, -np.inf, 3e38, -3e38, 1e-45, 8.0, 8.1, 0.0], "<f4")
Frame = str | bytes


class AConnection:
    """A connection whose client has already sent everything it will."""

    def __init__(self, frames: Iterator[Frame]) -> None:
        self._frames = frames
        self.taken = 0
        self.said: list[str] = []
        self.close_code: int | None = None

    async def recv(self) -> Frame:
        frame = next(self._frames, None)
        if frame is None:
            await asyncio.Event().wait()
        self.taken += 1
        return cast("Frame", frame)

    async def send(self, message: str) -> None:
        self.said.append(message)

    async def close(self, code: int = 1000) -> None:
        self.close_code = code

    async def wait_closed(self) -> None: ...


def mutated(frame: bytes, dice: random.Random) -> bytes:
    """Damage a frame in one of the ways that bytes are damaged."""
    at = dice.randrange(len(frame) + 1)
    match dice.randrange(6):
        case 0:
            return frame[:at]
        case 1:
            return frame[:at] + dice.randbytes(dice.randrange(9)) + frame[at:]
        case 2:
            return frame[:at] + frame[at + dice.randrange(9) :]
        case 3:
            return frame[:at] + bytes([dice.randrange(256)]) + frame[at + 1 :]
        case 4:
            return frame[:at] + dice.choice(NASTY).encode() + frame[at:]
        case _:
            return frame + frame[at:]


def a_text(valid: str, dice: random.Random) -> str:
    """Damage JSON: its bytes, or one of its values."""
    if dice.random() < 0.5:
        return mutated(valid.encode(), dice).decode(errors="replace")
    names = [*json.loads(valid), "binding", "vad_parameters", "gap"]
    return f'{{{valid[1:-1]}, "{dice.choice(names)}": {dice.choice(NASTY)}}}'


def some_audio(dice: random.Random) -> bytes:
    """Make bytes that pass for float32: speech, noise bits, or values that are no sound."""
    match dice.randrange(4):
        case 0:
            start = 4 * dice.randrange(len(SECOND) // 4)
            return SECOND[start : start + 4 * dice.randrange(1_000)]
        case 1:
            return dice.randbytes(4 * dice.randrange(64))
        case 2:
            return NASTY_SAMPLES[[dice.randrange(NASTY_SAMPLES.size) for _ in range(dice.randrange(40))]].tobytes()
        case _:
            return b""


def a_frame(dice: random.Random) -> Frame:
    """Make a frame of any kind, mostly damaged."""
    match dice.randrange(5):
        case 0:
            return some_audio(dice)
        case 1:
            return mutated(dice.choice([SECOND[:64], END_OF_AUDIO]), dice)
        case 2:
            return a_text(GAP, dice)
        case 3:
            return dice.choice(NASTY)
        case _:
            return a_text(dice.choice(HELLOS), dice)


def a_conversation(dice: random.Random) -> Iterator[Frame]:
    """Say hello, mostly well, then send audio until a stray frame, or the end."""
    yield HELLOS[0] if dice.random() < 0.8 else a_frame(dice)
    for _ in range(dice.randrange(MOST_IN_A_ROW)):
        yield some_audio(dice)
    yield a_frame(dice)
    yield END_OF_AUDIO


@pytest.fixture
async def services() -> AsyncIterator[Services]:
    """What a scripted worker for plain clients is made of."""
    ears = Ears(LevelDetector)
    metrics = PoolMetrics()
    scheduler = Scheduler(ScriptedModel(WORDS), threads=1, meter=metrics)
    task = asyncio.create_task(scheduler.run())
    yield Services(
        model=ScriptedModel(WORDS),
        ears=ears,
        scheduler=scheduler,
        slots=Slots(1),
        storing=None,
        metrics=metrics,
        patience=Patience(),
        tracer=Tracer(),
        max_lag_s=900.0,
        clock=time.monotonic,
        now=lambda: datetime.now(UTC),
    )
    task.cancel()
    await asyncio.wait([task])
    ears.close()


@pytest.mark.parametrize("seed", range(3))
def test_every_frame_parses_or_is_refused_by_name(seed: int) -> None:
    """InvalidMessage is the only error there is, and samples are always sound."""
    dice = random.Random(seed)
    for _ in range(PARSED // 3):
        frame = a_frame(dice)
        audio_format = dice.choice(list(AudioFormat))
        with contextlib.suppress(InvalidMessage):
            parse_hello(frame)
        try:
            parsed = parse_client_frame(frame, audio_format)
        except InvalidMessage:
            continue
        if isinstance(parsed, AudioFrame):
            samples, _ = read_samples(parsed.samples, audio_format)
            assert not samples.size or np.abs(samples).max() <= LOUDEST


@pytest.mark.parametrize("seed", range(3))
async def test_every_connection_ends_in_good_order(services: Services, seed: int) -> None:
    """With 1000 once all is said, or 1008 and the fault; never with a failure, and the slot is free again."""
    dice = random.Random(seed)
    carried = 0
    while carried < CARRIED // 3:
        connection = AConnection(a_conversation(dice))
        async with asyncio.timeout(DEADLINE_S):
            await Conversation(cast("ServerConnection", connection), services).run()
        carried += connection.taken

        errors = [said for said in map(parse_server_message, connection.said) if said.is_error]
        assert (connection.close_code, len(errors)) in {(1000, 0), (1008, 1)}, connection.said
        assert services.slots.free == 1

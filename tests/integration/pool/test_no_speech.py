"""What the core commits where nobody speaks, with the real detector and the real model."""

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from vexa_events.identity import Task
from vexa_events.transcript import Segment
from vexa_pool.app import silero_detectors
from vexa_pool.engine.model import DecodeRequest
from vexa_pool.engine.whisper import WhisperModel
from vexa_pool.streaming.clock import FRAME_SAMPLES
from vexa_pool.streaming.session import Session

RATE_HZ = 16_000
LENGTH_S = 12
CHUNK = 4_096
Audio = NDArray[np.float32]
TIMES_S = np.arange(LENGTH_S * RATE_HZ) / RATE_HZ


def silence() -> Audio:
    return np.zeros(TIMES_S.size, np.float32)


def white_noise() -> Audio:
    return coloured_noise(exponent=0.0, loudness=0.05)


def pink_noise() -> Audio:
    return coloured_noise(exponent=0.5, loudness=0.1)


def brown_noise() -> Audio:
    return coloured_noise(exponent=1.0, loudness=0.3)


def coloured_noise(*, exponent: float, loudness: float) -> Audio:
    """Noise whose amplitude falls with that power of the frequency."""
    spectrum = np.fft.rfft(np.random.default_rng(7).normal(size=TIMES_S.size))
    shaped = np.fft.irfft(spectrum / np.maximum(1, np.arange(spectrum.size)) ** exponent, TIMES_S.size)
    return (loudness * shaped / np.std(shaped)).clip(-1, 1).astype(np.float32)


def typing() -> Audio:
    """Clicks of 5 ms at uneven times."""
    random = np.random.default_rng(7)
    audio = silence()
    for start in np.cumsum(random.integers(1_500, 6_000, 80)):
        click = random.normal(size=80) * np.exp(-np.arange(80) / 15) * 0.5
        audio[start : start + 80] += click[: max(0, audio.size - start)].astype(np.float32)
    return audio


def hum() -> Audio:
    """Mains and its harmonics."""
    tones = [0.1 / n * np.sin(2 * np.pi * 50 * n * TIMES_S) for n in range(1, 8)]
    return np.asarray(np.sum(tones, axis=0), np.float32)


def music() -> Audio:
    """Chords of harmonic tones that change twice a second, over a beat."""
    random = np.random.default_rng(7)
    audio = np.zeros(TIMES_S.size)
    for beat in range(2 * LENGTH_S):
        part = slice(beat * RATE_HZ // 2, (beat + 1) * RATE_HZ // 2)
        since_s = TIMES_S[part] - TIMES_S[part][0]
        root_hz = 220 * 2 ** (random.integers(0, 12) / 12)
        for ratio, harmonic in product((1, 5 / 4, 3 / 2), range(1, 6)):
            tone = np.sin(2 * np.pi * root_hz * ratio * harmonic * since_s)
            audio[part] += 0.05 / harmonic * tone * np.exp(-2 * since_s)
        audio[part] += 0.1 * random.normal(size=since_s.size) * np.exp(-60 * since_s)
    return audio.astype(np.float32)


def fooled(samples: Audio) -> list[float]:
    """Hear voice everywhere."""
    return [1.0] * (samples.size // FRAME_SAMPLES)


def committed(model: WhisperModel, audio: Audio, hear: Callable[[Audio], list[float]]) -> list[Segment]:
    """Play audio through a session and return its segments."""
    session = Session()
    segments: list[Segment] = []
    for start in range(0, audio.size, CHUNK):
        piece = audio[start : start + CHUNK]
        session.feed(piece, hear(piece))
    session.finish()
    while session.due() is not None:
        request = DecodeRequest(window=session.take_window(), language="en", task=Task.TRANSCRIBE)
        segments += session.apply(model.transcribe([request])[0]).committed
    return segments


@pytest.mark.parametrize("sound", [silence, white_noise, pink_noise, brown_noise, typing, hum, music])
def test_nothing_is_heard_where_nobody_speaks(whisper: WhisperModel, sound: Callable[[], Audio]) -> None:
    """The voice detector keeps silence, noise and music from the model."""
    assert committed(whisper, sound(), silero_detectors()().probabilities) == []


@pytest.mark.parametrize("sound", [silence, white_noise, brown_noise, music])
def test_what_the_model_invents_is_marked(whisper: WhisperModel, sound: Callable[[], Audio]) -> None:
    """Where the detector is fooled, no text is committed without a doubt."""
    segments = committed(whisper, sound(), fooled)

    assert [segment.text for segment in segments if not segment.doubts] == []

"""
The scripted twin of the model, for tests: audio that spells its own words.

`spell` writes each word as a run of one constant level; the twin reads the
levels back from whatever samples it is given. So a wrong cut, a sample lost
or one out of place shows in the text.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from zlib import crc32

import numpy as np

from vexa_events.errors import InvalidMessage
from vexa_events.identity import Task
from vexa_events.stream import SAMPLE_RATE_HZ
from vexa_pool.engine.model import DecodeRequest
from vexa_pool.streaming.audio import Samples
from vexa_pool.streaming.clock import FRAME_SAMPLES, samples_in
from vexa_pool.streaming.window import Transcription
from vexa_pool.streaming.words import SpokenWord

LEVEL_STEP = 1 / 512
MOST_WORDS = 500
LEAST_HEARD = samples_in(0.06)
"""A shorter rest of a word at the edge of a window is not heard."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptedWord:
    """A word of the script, on the clock."""

    text: str
    start_s: float
    end_s: float


def spell(script: Sequence[ScriptedWord], *, length_s: float) -> Samples:
    """Make the audio of a script; word n has the n-th level."""
    if len(script) > MOST_WORDS:
        raise InvalidMessage(f"a script has at most {MOST_WORDS} words, got {len(script)}")
    audio = np.zeros(samples_in(length_s), np.float32)
    for number, word in enumerate(script, start=1):
        audio[samples_in(word.start_s) : samples_in(word.end_s)] = number * LEVEL_STEP
    return audio


class ScriptedModel:
    """Reads spelt audio; a word cut by the window's edge comes back marred, as from a real model."""

    decode_batch = 4

    def __init__(self, script: Sequence[ScriptedWord], *, drift_s: float = 0.0) -> None:
        """`drift_s` is how far word times stray, differently in each window, as a real aligner's do."""
        self._script = script
        self._drift_s = drift_s

    def check(self, language: str | None, task: Task) -> None:
        """Raise InvalidMessage for anything but transcribing English."""
        if language not in {None, "en"} or task is Task.TRANSLATE:
            raise InvalidMessage(f"the script is in English, not {language!r}, and is not translated")

    def transcribe(self, requests: Sequence[DecodeRequest]) -> list[Transcription]:
        """Read every window's words."""
        return [Transcription(words=tuple(self._read(request.window.samples)), language="en") for request in requests]

    def _read(self, samples: Samples) -> list[SpokenWord]:
        levels = np.rint(samples / LEVEL_STEP).astype(int)
        edges = [0, *(np.flatnonzero(np.diff(levels)) + 1).tolist(), levels.size]
        words = []
        for start, end in pairwise(edges):
            if end - start < LEAST_HEARD or not 1 <= levels[start] <= len(self._script):
                continue
            words.append(self._heard(self._script[levels[start] - 1], start, end, self._stray(start, levels.size)))
        return words

    def _stray(self, start: int, length: int) -> float:
        share = crc32(f"{start} {length}".encode()) / 2**32
        return self._drift_s * (2 * share - 1)

    def _heard(self, word: ScriptedWord, start: int, end: int, stray_s: float) -> SpokenWord:
        is_whole = end - start >= samples_in(word.end_s - word.start_s) * 0.7
        return SpokenWord(
            text=f" {word.text if is_whole else word.text[: len(word.text) // 2]}",
            start_s=max(0.0, start / SAMPLE_RATE_HZ + stray_s),
            end_s=max(0.0, end / SAMPLE_RATE_HZ + stray_s),
        )


class LevelDetector:
    """Hears voice in every frame that is not all silence."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything heard."""
        self._rest: Samples = np.zeros(0, np.float32)

    def probabilities(self, samples: Samples) -> list[float]:
        """Judge every frame that these samples complete."""
        audio = np.concatenate([self._rest, samples])
        count = audio.size // FRAME_SAMPLES
        self._rest = audio[count * FRAME_SAMPLES :]
        frames = audio[: count * FRAME_SAMPLES].reshape(count, FRAME_SAMPLES)
        return [1.0 if loud else 0.0 for loud in (np.abs(frames).mean(axis=1) > LEVEL_STEP / 4)]

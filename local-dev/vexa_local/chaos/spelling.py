"""
Audio that spells its own words, with the model that reads it.

A word is a run of one level, which is its number in the vocabulary, between an
opening and a closing mark. So every run of the harness knows exactly what has
to be stored, and a sample lost, doubled or out of place shows in the text.
"""

import json
import time
import wave
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vexa_events.errors import InvalidMessage
from vexa_events.identity import Task
from vexa_events.stream import SAMPLE_RATE_HZ
from vexa_local.chaos.recordings import Recording, ReferenceWord, track_of
from vexa_pool.engine.model import DecodeRequest
from vexa_pool.streaming.audio import Samples
from vexa_pool.streaming.window import Transcription
from vexa_pool.streaming.words import SpokenWord

INT16_SCALE = 32_768
LEVEL_STEP = 4
"""In steps of int16; the bot and the worker carry these without loss."""
FIRST_LEVEL = 512
MOST_WORDS = 7_000
BATCH = 4
OPENING, CLOSING = 30_000, 31_000
MARK_S = 0.01
LEAST_MARK = 8
"""Samples of a mark that must be there for it to be heard."""

Pcm = NDArray[np.int16]


def vocabulary_of(recordings: Iterable[Recording]) -> tuple[str, ...]:
    """List the different words of all recordings; raise InvalidMessage where they are too many to spell."""
    said = {word.text for each in recordings for words in each.words_by_speaker.values() for word in words}
    if len(said) > MOST_WORDS:
        raise InvalidMessage(f"{len(said)} different words are more than the {MOST_WORDS} that can be spelt")
    return tuple(sorted(said))


def write_meeting(recording: Recording, folder: Path, vocabulary: Sequence[str]) -> None:
    """Write one track for each speaker of a recording."""
    folder.mkdir(parents=True)
    numbers = {text: number for number, text in enumerate(vocabulary)}
    for speaker, words in recording.words_by_speaker.items():
        with wave.open(str(folder / f"{track_of(speaker)}.wav"), "wb") as track:
            track.setnchannels(1)
            track.setsampwidth(2)
            track.setframerate(SAMPLE_RATE_HZ)
            track.writeframes(spell(words, numbers, length_s=recording.length_s).tobytes())


def spell(words: Iterable[ReferenceWord], numbers: Mapping[str, int], *, length_s: float) -> Pcm:
    """Make the audio of a track."""
    audio: Pcm = np.zeros(_samples(length_s), np.int16)
    for word in words:
        start, end = _samples(word.start_s), _samples(word.end_s)
        audio[start:end] = FIRST_LEVEL + LEVEL_STEP * numbers[word.text]
        audio[start : start + _samples(MARK_S)] = OPENING
        audio[end - _samples(MARK_S) : end] = CLOSING
    return audio


def write_vocabulary(vocabulary: Sequence[str], file: Path) -> None:
    """Hand the vocabulary to the workers."""
    file.write_text(json.dumps(list(vocabulary)))


def read_vocabulary(file: Path) -> tuple[str, ...]:
    """Read what write_vocabulary wrote."""
    return tuple(json.loads(file.read_text()))


class SpeltModel:
    """Reads spelt audio; half a word comes back marred, as from a real model."""

    def __init__(self, vocabulary: Sequence[str], *, takes_s: float = 0.0) -> None:
        """`takes_s` is how long each reading lasts, for a worker that cannot keep up; it reads one at a time."""
        self.decode_batch = 1 if takes_s else BATCH
        self._vocabulary = vocabulary
        self._takes_s = takes_s

    def check(self, language: str | None, task: Task) -> None:
        """Raise InvalidMessage for anything but transcribing English."""
        if language not in {None, "en"} or task is Task.TRANSLATE:
            raise InvalidMessage(f"words are spelt in English, not {language!r}, and not translated")

    def transcribe(self, requests: Sequence[DecodeRequest]) -> list[Transcription]:
        """Read every window's words."""
        if self._takes_s:  # with a clock that can be stepped a process cannot sleep
            time.sleep(self._takes_s)
        return [Transcription(words=tuple(self._read(request.window.samples)), language="en") for request in requests]

    def _read(self, samples: Samples) -> list[SpokenWord]:
        levels = np.rint(samples * INT16_SCALE).astype(int)
        edges = [0, *(np.flatnonzero(np.diff(levels)) + 1).tolist(), levels.size]
        runs = [(int(levels[start]), start, end) for start, end in pairwise(edges) if levels.size]
        return [
            self._word(level, start, end, is_whole=_is_mark(before, OPENING) and _is_mark(after, CLOSING))
            for before, (level, start, end), after in zip([None, *runs], runs, [*runs[1:], None], strict=False)
            if self._names(level)
        ]

    def _names(self, level: int) -> bool:
        return level >= FIRST_LEVEL and (level - FIRST_LEVEL) // LEVEL_STEP < len(self._vocabulary)

    def _word(self, level: int, start: int, end: int, *, is_whole: bool) -> SpokenWord:
        text = self._vocabulary[(level - FIRST_LEVEL) // LEVEL_STEP]
        return SpokenWord(
            text=f" {text if is_whole else text[: len(text) // 2] + '~'}",
            start_s=max(0.0, start / SAMPLE_RATE_HZ - MARK_S),
            end_s=end / SAMPLE_RATE_HZ + MARK_S,
        )


def _is_mark(run: tuple[int, int, int] | None, level: int) -> bool:
    return run is not None and run[0] == level and run[2] - run[1] >= LEAST_MARK


def _samples(position_s: float) -> int:
    return round(position_s * SAMPLE_RATE_HZ)

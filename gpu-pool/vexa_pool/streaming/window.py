"""What is decoded at once: an interval of audio with the length at which the encoder sees it."""

import math
from dataclasses import dataclass
from enum import StrEnum

from vexa_pool.streaming.audio import Samples
from vexa_pool.streaming.words import SpokenWord

PARTIAL_FLOOR_S = 6.0
COMMITTING_FLOOR_S = 8.0
MARGIN_S = 2.0
"""Silence behind the speech; with less the model repeats itself."""
BUCKET_S = 2.0
"""Encoder lengths are multiples of this, so that windows of several streams share a decoder batch."""
LONGEST_S = 30.0


class Purpose(StrEnum):
    """What becomes of a window's words."""

    PARTIAL = "partial"
    """Shown, then forgotten."""
    CHECKPOINT = "checkpoint"
    """Committed as far as two successive ones agree."""
    ENDING = "ending"
    """Shown, and committed if the pause goes on."""
    FINAL = "final"
    """Committed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """One decode; times are relative to the first sample."""

    purpose: Purpose
    start: int
    """Position of the first sample, in samples."""
    samples: Samples
    speech_s: float
    """Where the speech ends."""
    encoder_s: float
    """Length the audio is padded to."""
    wants_word_times: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcription:
    """What the model heard in one window."""

    words: tuple[SpokenWord, ...]
    """Times relative to the window's first sample."""
    language: str
    language_probability: float = 1.0
    no_speech_probability: float = 0.0
    mean_logprob: float = 0.0


def encoder_length_s(purpose: Purpose, audio_s: float) -> float:
    """Choose how long the encoder's input is for a given length of audio."""
    floor_s = PARTIAL_FLOOR_S if purpose is Purpose.PARTIAL else COMMITTING_FLOOR_S
    wanted_s = max(floor_s, audio_s + MARGIN_S)
    return min(LONGEST_S, BUCKET_S * math.ceil(wanted_s / BUCKET_S))

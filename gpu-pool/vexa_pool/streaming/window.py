"""What is decoded at once: an interval of audio, and how much of it and of silence the model sees."""

import math
from dataclasses import dataclass
from enum import StrEnum

from vexa_pool.streaming.audio import Samples
from vexa_pool.streaming.words import SpokenWord

ENCODER_FLOOR_S = 4.0
ENCODER_MARGIN_S = 2.0
"""Silence that is encoded behind the speech."""
ENCODER_STEP_S = 0.5
MARGIN_S = 2.5
"""Silence behind the speech that the decoder attends to at least; with less the model repeats itself."""
LONGEST_S = 30.0
COMMITTING_LENGTHS_S = (8.0, 10.0, 12.0, 14.0, 18.0, 24.0, LONGEST_S)
"""What the decoder attends to where words are committed: few lengths, so that windows of many streams share groups."""


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
    """Length the audio is padded to for the encoder."""
    attended_s: float
    """Length that the decoder attends to: what is encoded, then silence encoded beforehand."""
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


def encoder_length_s(audio_s: float) -> float:
    """Choose how long the encoder's input is for a given length of audio."""
    return _in_steps(max(ENCODER_FLOOR_S, audio_s + ENCODER_MARGIN_S))


def attended_length_s(purpose: Purpose, audio_s: float) -> float:
    """Choose what the decoder attends to; where words are only shown that is the least, for more does no harm."""
    wanted_s = max(encoder_length_s(audio_s), audio_s + MARGIN_S)
    if purpose is Purpose.PARTIAL:
        return _in_steps(wanted_s)
    return next((length_s for length_s in COMMITTING_LENGTHS_S if length_s >= wanted_s), LONGEST_S)


def _in_steps(length_s: float) -> float:
    return min(LONGEST_S, ENCODER_STEP_S * math.ceil(length_s / ENCODER_STEP_S))

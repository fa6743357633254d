"""Signs that text may be invented; they mark it and delete nothing, for a short answer looks odd too."""

import zlib
from collections.abc import Sequence

from vexa_pool.streaming.window import Transcription
from vexa_pool.streaming.words import SpokenWord, joined, spoken_form

REPEATS = 3
"""The same run of words this often in a row is a loop ("no, no, no" is not: see LEAST_LOOP_WORDS)."""
LEAST_LOOP_WORDS = 6
LEAST_RETOLD_WORDS, LEAST_RETOLD_CHARS = 4, 12
"""A run of as many words that comes again; the characters are for scripts in which a word is one or two."""
MOST_COMPRESSIBLE = 2.4
MOST_WORDS_PER_S = 8.0
RATE_MATTERS_FROM_WORDS = 6
LEAST_MEAN_LOGPROB = -1.0
LEAST_NO_SPEECH = 0.6
LEAST_MEAN_PROBABILITY = 0.5


def doubts_about(words: Sequence[SpokenWord], heard: Transcription) -> tuple[str, ...]:
    """Name every sign; an empty tuple as a rule."""
    signs = {
        "repetition": is_looping(words),
        "rate": _is_too_fast(words),
        "no_speech": heard.no_speech_probability > LEAST_NO_SPEECH and _is_unsure(words, heard),
        "low_confidence": heard.mean_logprob < LEAST_MEAN_LOGPROB,
    }
    return tuple(name for name, shows in signs.items() if shows)


def is_looping(words: Sequence[SpokenWord]) -> bool:
    """Tell whether the model repeats itself: a run said REPEATS times, or text that compresses far too well."""
    heard = [spoken_form(word.text) for word in words]
    if any(_has_loop(heard, length) for length in range(1, len(heard) // REPEATS + 1)):
        return True
    text = joined(words).encode()
    return len(heard) >= LEAST_LOOP_WORDS and len(text) / len(zlib.compress(text)) > MOST_COMPRESSIBLE


def is_told_twice(words: Sequence[SpokenWord]) -> bool:
    """Tell whether a run of words comes again: people do that, and a model that has told its speech."""
    heard = [spoken_form(word.text) for word in words]
    length = LEAST_RETOLD_WORDS
    for start in range(len(heard) - 2 * length + 1):
        run = heard[start : start + length]
        rest = range(start + length, len(heard) - length + 1)
        if len("".join(run)) >= LEAST_RETOLD_CHARS and any(heard[at : at + length] == run for at in rest):
            return True
    return False


def _is_unsure(words: Sequence[SpokenWord], heard: Transcription) -> bool:
    mean_probability = sum(word.probability for word in words) / max(1, len(words))
    return heard.mean_logprob < LEAST_MEAN_LOGPROB or mean_probability < LEAST_MEAN_PROBABILITY


def _has_loop(heard: Sequence[str], length: int) -> bool:
    times = max(REPEATS, -(-LEAST_LOOP_WORDS // length))
    for start in range(len(heard) - times * length + 1):
        run = heard[start : start + length]
        if all(heard[start + n * length : start + (n + 1) * length] == run for n in range(1, times)):
            return True
    return False


def _is_too_fast(words: Sequence[SpokenWord]) -> bool:
    if len(words) < RATE_MATTERS_FROM_WORDS:
        return False
    return len(words) / max(0.001, words[-1].end_s - words[0].start_s) > MOST_WORDS_PER_S

"""
Whose words are whose in a segment of a mixed stream: hints laid over word times. Pure.

A word belongs to the one person who was shown as speaking during it or, where
nobody was, so close to it that its times may be wrong by as much. Where more
than one was, or nobody, it stays with the stream's own name: what the meeting
did not show is not guessed.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from vexa_events.lifecycle import MAX_HINT_S
from vexa_events.transcript import Word

EDGE_S = 0.1
"""So much at each end of a word is not held against whoever speaks it."""
NEAR_S = 0.2
"""Word times are no better than this."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Hint:
    """Somebody was shown as speaking; seconds on the session clock."""

    from_s: float
    until_s: float
    speaker: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Successive words of one speaker."""

    word: int
    """Number of the first of them in its segment."""
    start_s: float
    end_s: float
    text: str
    speaker: str | None
    """None where the hints name nobody, or more than one."""


@dataclass(frozen=True, slots=True)
class _Placed:
    number: int
    word: Word
    offset: int
    """Where it stands in the text."""
    speaker: str | None


def pieces(text: str, words: Sequence[Word], hints: Sequence[Hint]) -> list[Piece]:
    """
    Cut a segment where its speaker changes; the pieces together are its text.

    `hints` are in order of their start. A text that its words do not spell
    stays whole, and nobody's.
    """
    placed = list(_placed(text, words, hints))
    if not placed or len(placed) < len(words):
        return []
    runs = [list(run) for _, run in groupby(placed, key=lambda each: each.speaker)]
    ends = [run[0].offset for run in runs[1:]] + [len(text)]
    starts = [0, *ends]
    return [
        Piece(
            word=run[0].number,
            start_s=run[0].word.start_s,
            end_s=run[-1].word.end_s,
            text=text[start:end].strip(),
            speaker=run[0].speaker,
        )
        for run, start, end in zip(runs, starts, ends, strict=False)
    ]


def overlapping(hints: Sequence[Hint], from_s: float, until_s: float) -> Sequence[Hint]:
    """List those that share time with an interval."""
    first = bisect_left(hints, from_s - MAX_HINT_S, key=lambda hint: hint.from_s)
    last = bisect_left(hints, until_s, key=lambda hint: hint.from_s)
    return [hint for hint in hints[first:last] if hint.until_s > from_s]


def _placed(text: str, words: Sequence[Word], hints: Sequence[Hint]) -> Iterator[_Placed]:
    position = 0
    for number, word in enumerate(words):
        offset = text.find(word.text, position)
        if offset < 0:
            return
        position = offset + len(word.text)
        yield _Placed(number, word, offset, _speaker(word, hints))


def _speaker(word: Word, hints: Sequence[Hint]) -> str | None:
    edge_s = min(EDGE_S, (word.end_s - word.start_s) / 4)
    shown = _shown(hints, word.start_s + edge_s, word.end_s - edge_s)
    shown = shown or _shown(hints, word.start_s - NEAR_S, word.end_s + NEAR_S)
    return shown.pop() if len(shown) == 1 else None


def _shown(hints: Sequence[Hint], from_s: float, until_s: float) -> set[str]:
    return {hint.speaker for hint in overlapping(hints, from_s, until_s)}

"""What one stream was told, held against what was said: pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from rapidfuzz.distance import Levenshtein

from vexa_pool.loadtest.player import Played
from vexa_pool.loadtest.recordings import KnownWord
from vexa_pool.loadtest.texts import tokens

AHEAD_S = 0.4
"""A word may be shown this long before its aligned end: times are good to about 0.2 s, and models guess."""


@dataclass(slots=True)
class StreamScore:
    """One stream in figures; latencies in seconds from the end of each word, one a word that appeared."""

    spoken: int
    errors: int
    retracted: int
    updates: int
    partial_s: list[float] = field(default_factory=list)
    commit_s: list[float] = field(default_factory=list)
    fault: str | None = None
    shed: int = 0

    @property
    def missed(self) -> int:
        """Words that no completed segment ever held."""
        return self.spoken - len(self.commit_s)


def score_stream(words: Sequence[KnownWord], played: Played) -> StreamScore:
    """Score one stream."""
    reference = [word.text for word in words]
    final = _words_of(played.told[-1].completed) if played.told else []
    score = StreamScore(
        spoken=len(words),
        errors=int(Levenshtein.distance(reference, final)),
        retracted=0,
        updates=len(played.told),
        fault=played.fault,
        shed=played.shed,
    )
    shown: dict[int, float] = {}
    committed: dict[int, float] = {}
    before: list[str] = []
    committed_before: tuple[str, ...] = ()
    for told in played.told:
        completed = _words_of(told.completed)
        display = completed + list(tokens(told.open))
        score.retracted += len(before) - _common(before, display)
        before = display
        said = [word.text for word in words if word.end_s <= told.at_s + AHEAD_S]
        _first_seen(shown, said, display, told.at_s)
        if told.completed != committed_before:
            _first_seen(committed, said, completed, told.at_s)
            committed_before = told.completed
    score.partial_s = [max(0.0, at_s - words[index].end_s) for index, at_s in shown.items()]
    score.commit_s = [max(0.0, at_s - words[index].end_s) for index, at_s in committed.items()]
    return score


def _words_of(segments: Sequence[str]) -> list[str]:
    return [token for text in segments for token in tokens(text)]


def _common(before: Sequence[str], after: Sequence[str]) -> int:
    count = 0
    for old, new in zip(before, after, strict=False):
        if old != new:
            break
        count += 1
    return count


def _first_seen(seen: dict[int, float], said: Sequence[str], shown: Sequence[str], at_s: float) -> None:
    for block in Levenshtein.opcodes(said, shown):
        if block.tag == "equal":
            for index in range(block.src_start, block.src_end):
                seen.setdefault(index, at_s)

"""
The words of one stream: what is committed, and what is only shown.

Committed are a whole utterance, or in speech that goes on the words on which
two successive decodes agree. Committed text never changes.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from vexa_events.transcript import Segment, Word
from vexa_pool.streaming.clock import samples_in, seconds_at
from vexa_pool.streaming.guards import doubts_about
from vexa_pool.streaming.passes import Pass
from vexa_pool.streaming.window import Transcription
from vexa_pool.streaming.words import SpokenWord, agreed_prefix, fresh_words, joined, spoken_form

FORCE_AFTER = samples_in(14.0)
"""Speech on which no two checkpoints agree for this long is cut where the voice is weakest."""
HELD_WORDS = 1
"""Agreed words kept back: the last one may still grow."""
KNOWN_WORDS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Hypothesis:
    """The latest decode of what is not committed yet."""

    text: str
    start_s: float
    end_s: float
    seq: int
    """The number its segment gets when committed."""


class Transcript:
    """Positions in samples."""

    def __init__(self, committed_until: int, last_words: Iterable[Word]) -> None:
        """`last_words` are the last before `committed_until`."""
        self.until = committed_until
        """Everything before this is decided."""
        self.hypothesis: Hypothesis | None = None
        self._previous: Sequence[SpokenWord] = ()
        self._known: deque[str] = deque(maxlen=KNOWN_WORDS)
        self._know(word.text for word in last_words)
        self._seq = 0

    def fresh(self, start: int, heard: Transcription) -> Sequence[SpokenWord]:
        """Return those words of a window from `start` that are not committed yet, on the clock."""
        words = [word.shifted(seconds_at(start)) for word in heard.words]
        if start >= self.until:
            return words
        return fresh_words(words, known=tuple(self._known), boundary_s=seconds_at(self.until))

    def show(self, words: Sequence[SpokenWord], *, end_s: float) -> None:
        """Take words as the hypothesis; `end_s` is where the audio ends."""
        self.hypothesis = None
        if joined(words):
            low_s = seconds_at(self.until)
            self.hypothesis = Hypothesis(
                text=joined(words),
                start_s=min(end_s, max(low_s, words[0].start_s)),
                end_s=min(end_s, max(low_s, words[-1].end_s)),
                seq=self._seq,
            )

    def conclude(self, done: Pass, words: Sequence[SpokenWord], heard: Transcription) -> tuple[Segment, ...]:
        """Commit the rest of an utterance."""
        self._previous, self.hypothesis = (), None
        return self._commit(words, heard, until=done.end)

    def agree(
        self, done: Pass, words: Sequence[SpokenWord], heard: Transcription, *, end_s: float
    ) -> tuple[Segment, ...]:
        """Commit what this checkpoint and the one before agree on, and show the rest."""
        count, until = self._agreement(words)
        if not count and done.end - max(done.start, self.until) > FORCE_AFTER:
            until = max(done.weakest, self.until)
            count = sum(word.middle_s < seconds_at(until) for word in words)
        self._previous = words[count:]
        segments = self._commit(words[:count], heard, until=min(until, done.end))
        self.show(words[count:], end_s=end_s)
        return segments

    def give_up(self, until: int) -> None:
        """No words will come for what lies before a position."""
        self.until = max(self.until, until)
        self._previous, self.hypothesis = (), None

    def _agreement(self, words: Sequence[SpokenWord]) -> tuple[int, int]:
        """Return how many words are agreed on, and the position between them and the next."""
        count = max(0, agreed_prefix(self._previous, words) - HELD_WORDS)
        while count and words[count].is_continuation:
            count -= 1
        if not count:
            return 0, self.until
        between_s = (words[count - 1].end_s + words[count].start_s) / 2
        return count, max(samples_in(between_s), self.until)

    def _commit(self, words: Sequence[SpokenWord], heard: Transcription, *, until: int) -> tuple[Segment, ...]:
        since, self.until = self.until, max(self.until, until)
        if not joined(words):
            return ()
        self._know(word.text for word in words)
        low_s, high_s = seconds_at(since), seconds_at(self.until)
        stored = tuple(_stored_word(word, low_s, high_s) for word in words)
        segment = Segment(
            seq=self._seq,
            start_s=stored[0].start_s,
            end_s=stored[-1].end_s,
            text=joined(words),
            language=heard.language,
            words=stored,
            doubts=doubts_about(words, heard),
        )
        self._seq += 1
        return (segment,)

    def _know(self, texts: Iterable[str]) -> None:
        self._known.extend(filter(None, map(spoken_form, texts)))


def _stored_word(word: SpokenWord, low_s: float, high_s: float) -> Word:
    start_s = min(high_s, max(low_s, round(word.start_s, 3)))
    return Word(
        text=word.text.strip(),
        start_s=start_s,
        end_s=min(high_s, max(start_s, round(word.end_s, 3))),
        probability=min(1.0, max(0.0, round(word.probability, 3))),
    )

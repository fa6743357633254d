"""Words as the model hears them, with the rules for comparing them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

MATCH_BONUS_S = 0.25
"""How much drift in time one matching word outweighs; word times are good to about 0.2 s."""
MATCHES_COUNTED = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class SpokenWord:
    """One word; `text` keeps its leading space, so that joining words gives the sentence in any script."""

    text: str
    start_s: float
    end_s: float
    probability: float = 1.0

    @property
    def middle_s(self) -> float:
        return (self.start_s + self.end_s) / 2

    @property
    def is_continuation(self) -> bool:
        """Tell whether it goes on with the written word before it, as "-up" does; in any script."""
        return not self.text[:1].isspace() and not self.text[:1].isalnum()

    def shifted(self, offset_s: float) -> "SpokenWord":
        """Move the word along the clock."""
        return replace(self, start_s=self.start_s + offset_s, end_s=self.end_s + offset_s)


def spoken_form(text: str) -> str:
    """Reduce a word to what is heard: no case, no punctuation."""
    return "".join(char for char in text.casefold() if char.isalnum())


def joined(words: Sequence[SpokenWord]) -> str:
    """Write words as a sentence."""
    return "".join(word.text for word in words).strip()


def agreed_prefix(previous: Sequence[SpokenWord], current: Sequence[SpokenWord]) -> int:
    """
    Count the leading words on which two successive hypotheses agree.

    Only what is heard is compared: times and punctuation drift between decodes
    of overlapping audio. Both sequences start at the first uncommitted word.

    Source: LocalAgreement-2 (Liu et al. 2020; Macháček et al. 2023).
    """
    count = 0
    for old, new in zip(previous, current, strict=False):
        if spoken_form(old.text) != spoken_form(new.text):
            break
        count += 1
    return count


def fresh_words(words: Sequence[SpokenWord], *, known: Sequence[str], boundary_s: float) -> Sequence[SpokenWord]:
    """
    Return the words of a decode that come after what is already committed.

    The decode starts earlier than `boundary_s`, in audio whose words (`known`,
    spoken forms, oldest first) are committed. The split is where the times fit
    best, with each word in front of it that repeats the end of `known` making
    up for some drift: so a boundary word is neither doubled nor clipped.
    """
    scores = [
        _misplaced_s(words, split, boundary_s) - MATCH_BONUS_S * _matches(words[:split], known)
        for split in range(len(words) + 1)
    ]
    return words[scores.index(min(scores)) :]


def _misplaced_s(words: Sequence[SpokenWord], split: int, boundary_s: float) -> float:
    late = sum(max(0.0, word.middle_s - boundary_s) for word in words[:split])
    early = sum(max(0.0, boundary_s - word.middle_s) for word in words[split:])
    return late + early


def _matches(before: Sequence[SpokenWord], known: Sequence[str]) -> int:
    count = 0
    for word, expected in zip(reversed(before), reversed(known), strict=False):
        if count == MATCHES_COUNTED or spoken_form(word.text) != expected:
            break
        count += 1
    return count

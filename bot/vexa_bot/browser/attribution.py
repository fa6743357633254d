"""
Who speaks in a stream, from the best evidence there is. Plain values in, conclusions out.

In order of weight: the page itself ties a track to a person; one track is loud
while exactly one person is shown as speaking, often enough and nearly always
the same one; else a letter, which names nobody.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from string import ascii_uppercase

from vexa_bot.capture import SpeakerLearnt

LOUD = 0.01
VOTES = 6
"""So often must a person be the only one speaking while only this track is loud."""
SHARE = 0.9
"""So large must that person's share of the votes be."""
LETTER_AFTER = 6
"""Looks after which a stream without a name gets a letter."""


class _Weight(IntEnum):
    NOTHING = 0
    LETTER = 1
    HINTS = 2
    STRUCTURE = 3


@dataclass(slots=True)
class _Case:
    weight: _Weight = _Weight.NOTHING
    name: str = ""
    looks: int = 0
    votes: Counter[str] = field(default_factory=Counter)


class Attribution:
    """The names of one session's streams."""

    def __init__(self) -> None:
        self._cases: dict[str, _Case] = {}
        self._letters = 0

    @property
    def names(self) -> dict[str, str]:
        """People's names by stream; letters are none."""
        return {key: case.name for key, case in self._cases.items() if case.weight > _Weight.LETTER}

    def look(
        self, owners: Mapping[str, str | None], *, levels: Mapping[str, float], speaking: Sequence[str]
    ) -> Iterator[SpeakerLearnt]:
        """
        Take one look: whose each stream is as the page has it, how loud each is, and who is shown as speaking.

        A name is told when it is new or better founded than the last.
        """
        loud = [key for key, level in levels.items() if level > LOUD]
        for key, owner in owners.items():
            case = self._cases.setdefault(key, _Case())
            case.looks += 1
            if len(loud) == len(speaking) == 1 and loud[0] == key:
                case.votes[speaking[0]] += 1
            if owner:
                yield from _conclude(case, key, _Weight.STRUCTURE, owner, f"the page plays this track for {owner!r}")
            else:
                yield from self._without_owner(case, key)

    def _without_owner(self, case: _Case, key: str) -> Iterator[SpeakerLearnt]:
        if case.votes:
            name, votes = case.votes.most_common(1)[0]
            if votes >= VOTES and votes >= SHARE * case.votes.total():
                evidence = (
                    f"alone shown as speaking in {votes} of {case.votes.total()} looks at which only this was loud"
                )
                yield from _conclude(case, key, _Weight.HINTS, name, evidence)
        if case.weight is _Weight.NOTHING and case.looks >= LETTER_AFTER:
            letter = self._next_letter()
            yield from _conclude(case, key, _Weight.LETTER, letter, "nothing tells whose voice this is")

    def _next_letter(self) -> str:
        number = self._letters
        self._letters += 1
        return f"Speaker {ascii_uppercase[number]}" if number < len(ascii_uppercase) else f"Speaker {number + 1}"


def _conclude(case: _Case, key: str, weight: _Weight, name: str, evidence: str) -> Iterator[SpeakerLearnt]:
    if weight < case.weight or (weight == case.weight and name == case.name):
        return
    case.weight = weight
    is_new = name != case.name
    case.name = name
    if is_new:
        yield SpeakerLearnt(key=key, speaker=name, evidence=evidence)

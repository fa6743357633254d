"""One look at a meeting from outside: what the page shows, says and signals. A plain value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from vexa_bot.browser.addresses import without_secrets
from vexa_bot.browser.page_messages import PageFacts, Person

FAILED_CONNECTIONS = frozenset({"failed", "disconnected"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The evidence on which a platform judges."""

    marks: Mapping[str, str] = field(default_factory=dict)
    """Text of each visible mark by its name, over all frames."""
    people: tuple[Person, ...] = ()
    signals: tuple[str, ...] = ()
    """Signalling frames that came in, oldest first; those that the platform asked for."""
    connections: tuple[str, ...] = ()
    """States of all peer connections that are not closed."""
    url: str = ""

    def first_mark(self, *names: str) -> str | None:
        """Return the first of the names that is visible."""
        return next((name for name in names if name in self.marks), None)

    def others(self, bot_name: str) -> int:
        """Count the people other than the bot, whom a page may show among them without a sign but its name."""
        others = [person for person in self.people if not person.self]
        is_hidden = len(others) == len(self.people) and any(person.name == bot_name for person in others)
        return len(others) - is_hidden

    @property
    def muted_names(self) -> frozenset[str]:
        """The names whose bearers are all shown as muted."""
        return frozenset(person.name for person in self.people if person.muted) - {
            person.name for person in self.people if not person.muted
        }

    @property
    def is_cut_off(self) -> bool:
        """Whether connections failed and none is left that works or may yet."""
        return bool(self.connections) and all(state in FAILED_CONNECTIONS for state in self.connections)


class MeetingState(StrEnum):
    """Where a bot stands, as far as one snapshot tells."""

    UNKNOWN = "unknown"
    PREJOIN = "prejoin"
    NOT_STARTED = "not_started"
    WAITING = "waiting"
    ADMITTED = "admitted"
    DENIED = "denied"
    REMOVED = "removed"
    ENDED = "ended"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a platform concludes from one snapshot."""

    state: MeetingState
    evidence: str
    """What was seen, in words."""
    reason: str | None = None
    """A short code, where the state alone does not say enough."""
    is_doubtful: bool = False
    """Whether the page shows the meeting as well, so that it may be a notice that passes."""


def seen(snapshot: Snapshot, states: Sequence[tuple[str, MeetingState]]) -> Verdict | None:
    """Judge by the first visible mark of a list in order of weight; doubtful where one of the meeting is there, too."""
    shown = [(mark, state) for mark, state in states if mark in snapshot.marks]
    if not shown:
        return None
    mark, state = shown[0]
    is_doubtful = state is not MeetingState.ADMITTED and any(other is MeetingState.ADMITTED for _, other in shown)
    evidence = f"the page shows {mark}: {snapshot.marks[mark]!r}"
    return Verdict(state=state, evidence=evidence, is_doubtful=is_doubtful)


def nothing_known(snapshot: Snapshot) -> Verdict:
    """Judge a snapshot that shows nothing known."""
    return Verdict(
        state=MeetingState.UNKNOWN, evidence=f"nothing known is visible at {without_secrets(snapshot.url)[:200]!r}"
    )


def merge(facts: Sequence[PageFacts]) -> tuple[dict[str, str], tuple[Person, ...], tuple[str, ...]]:
    """Put what all documents show together: marks, people, connections."""
    marks: dict[str, str] = {}
    for each in facts:
        marks |= each.marks
    people = {person.id: person for each in facts for person in each.people}
    return marks, tuple(people.values()), tuple(state for each in facts for state in each.connections)

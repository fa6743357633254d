"""What goes wrong, and when: drawn by a seed. No process and no clock here."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from random import Random

LONGEST_PAUSE_S = 20.0
LONGEST_TROUBLE_S = 12.0
LONGEST_REFUSAL_S = 8.0
"""Short of what brings a third attempt of a webhook, five minutes later."""
SMALLEST_STEP_S, LARGEST_STEP_S = 2.0, 50.0
FEWEST, MOST = 3, 8
"""Beside the faults that every seed has."""
BEGIN_S = 0.5
"""Bots are still on their way into their meetings."""
BOT = "bot"
FUNCTIONS = ("gateway", "admin", "bots", "collector", "webhooks", "dead_letters")
STORES = ("valkey", "postgres")
BALANCER = "pool"
PROCESSES = ("worker-1", "worker-2", BALANCER, *FUNCTIONS, "broker", *STORES)
MARKS = "marks"
"""The collector's own way to Valkey, which carries live text and acknowledgements."""
LINKS = ("pool", "bots", "broker", *STORES, MARKS)
CHANNEL = "channel"
"""The way of events from their producers into the Broker."""
RECEIVER = "receiver"
"""The user's own server, which is told by webhook."""
USER = "user"


class FaultKind(StrEnum):
    """What is done."""

    KILL = "kill"
    """SIGKILL; whoever keeps the process alive starts it again."""
    PAUSE = "pause"
    """SIGSTOP, later SIGCONT."""
    STEP = "step"
    """The wall clock of a process jumps, and later jumps back."""
    RESET = "reset"
    """Every connection of a link is reset."""
    CUT = "cut"
    """The link is reset and takes no connection for a while."""
    SLOW = "slow"
    """The link passes few bytes a second: a slow consumer."""
    LATENCY = "latency"
    """The link passes everything late."""
    REPEAT = "repeat"
    """Every event is handed over five times."""
    REVERSE = "reverse"
    """Events that come close together are handed over in reverse."""
    DROP = "drop"
    """One event in three is accepted and never handed over."""
    EMPTY = "empty"
    """Valkey forgets everything."""
    REFUSE = "refuse"
    """The user's server answers 503."""
    STOP = "stop"
    """The user stops a bot while people speak."""
    STOP_TWICE = "stop twice"
    """And once more at the same moment."""
    RECONFIGURE = "reconfigure"
    """The user names the language: every stream of the bot opens an epoch."""
    DELETE = "delete"
    """The user stops a bot and deletes its meeting as soon as that is allowed."""
    START_AGAIN = "start again"
    """The user stops a bot and at once asks for another one in the same meeting."""


class Moment(StrEnum):
    """A delicate moment that a kill waits for."""

    LAST_FLUSH = "as a bot ends its audio"
    NEW_EPOCH = "as an epoch is opened"
    UNACKNOWLEDGED = "between a commit and its acknowledgement"
    UNSTORED = "with words that are acknowledged and not stored"
    """Comes where that promise is broken on purpose; no seed draws it."""


COMMANDS = (FaultKind.STOP, FaultKind.STOP_TWICE, FaultKind.RECONFIGURE, FaultKind.DELETE, FaultKind.START_AGAIN)
AIMED_AT = {
    Moment.LAST_FLUSH: ("worker-1", "worker-2", BALANCER, "bots", "collector", "broker", *STORES),
    Moment.NEW_EPOCH: ("worker-1", "worker-2", BALANCER, "bots", *STORES),
    Moment.UNACKNOWLEDGED: ("collector",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong; times in seconds from when the meetings begin."""

    kind: FaultKind
    target: str
    at_s: float
    """When it is done; of a kill that waits for a moment, from when on."""
    duration_s: float = 0.0
    meeting: int | None = None
    """Whose bot it is, by number; several share one machine's clock."""
    step_s: float = 0.0
    moment: Moment | None = None
    delay_s: float = 0.0
    """From the moment to the kill."""

    @property
    def until_s(self) -> float:
        return self.at_s + self.duration_s

    def __str__(self) -> str:
        whose = f" {self.meeting + 1}" if self.meeting is not None else ""
        step = f" by {self.step_s:+.1f} s" if self.step_s else ""
        lasting = f" for {self.duration_s:.1f} s" if self.duration_s else ""
        moment = f", {self.delay_s * 1000:.0f} ms after, {self.moment}" if self.moment else ""
        return f"{self.at_s:5.1f} s  {self.kind} {self.target}{whose}{step}{lasting}{moment}"


_WEIGHTS = {
    FaultKind.KILL: 8,
    FaultKind.PAUSE: 5,
    FaultKind.STEP: 4,
    FaultKind.RESET: 3,
    FaultKind.CUT: 2,
    FaultKind.SLOW: 2,
    FaultKind.LATENCY: 2,
    FaultKind.REPEAT: 1,
    FaultKind.REVERSE: 1,
    FaultKind.DROP: 1,
    FaultKind.EMPTY: 1,
    FaultKind.REFUSE: 1,
}
_ON_LINKS = {FaultKind.RESET, FaultKind.CUT, FaultKind.SLOW, FaultKind.LATENCY}
_LONGEST_S = {
    FaultKind.PAUSE: LONGEST_PAUSE_S,
    FaultKind.STEP: LONGEST_PAUSE_S,
    FaultKind.REFUSE: LONGEST_REFUSAL_S,
    **dict.fromkeys((FaultKind.CUT, FaultKind.SLOW, FaultKind.LATENCY), LONGEST_TROUBLE_S),
    **dict.fromkeys((FaultKind.REPEAT, FaultKind.REVERSE, FaultKind.DROP), LONGEST_TROUBLE_S),
}


def draw(seed: int, *, lengths_s: Sequence[float], has_clocks: bool = True) -> tuple[Fault, ...]:
    """
    Draw the faults of one seed within the lengths of its meetings.

    Each has one bot killed, never one that is paused, one kill aimed at a
    delicate moment, and one command of a user, to another bot where there are
    several. Where clocks cannot be stepped, such faults are left out.
    """
    random = Random(seed)  # noqa: S311 - a schedule, no secret
    numbers = random.sample(range(len(lengths_s)), k=min(2, len(lengths_s)))
    killed, told, length_s = numbers[0], numbers[-1], max(lengths_s)
    drawn = [
        Fault(kind=FaultKind.KILL, target=BOT, at_s=_at(random, lengths_s[killed]), meeting=killed),
        _aimed(random, length_s),
        Fault(kind=random.choice(COMMANDS), target=USER, at_s=_at(random, lengths_s[told]), meeting=told),
    ]
    wanted = len(drawn) + random.randint(FEWEST, MOST)
    while len(drawn) < wanted:
        fault = _draw_one(random, length_s=length_s, meetings=len(lengths_s))
        if not _clashes(fault, drawn):
            drawn.append(fault)
    kept = [fault for fault in drawn if has_clocks or fault.kind is not FaultKind.STEP]
    return tuple(sorted(kept, key=lambda fault: fault.at_s))


def kills_of_a_liar(*, length_s: float) -> tuple[Fault, ...]:
    """Name the kills that cost words where the collector acknowledges too early."""
    times_s = (length_s / 3, length_s * 2 / 3)
    return tuple(Fault(kind=FaultKind.KILL, target="collector", at_s=at_s, moment=Moment.UNSTORED) for at_s in times_s)


def _draw_one(random: Random, *, length_s: float, meetings: int) -> Fault:
    kind = random.choices(list(_WEIGHTS), weights=list(_WEIGHTS.values()))[0]
    fault = Fault(kind=kind, target=random.choice(_targets(kind)), at_s=_at(random, length_s))
    if kind in _LONGEST_S:
        fault = replace(fault, duration_s=round(random.uniform(1.0, _LONGEST_S[kind]), 1))
    if kind is FaultKind.STEP:
        size_s = random.uniform(SMALLEST_STEP_S, LARGEST_STEP_S)
        return replace(fault, step_s=round(random.choice((-1, 1)) * size_s, 1))
    return replace(fault, meeting=random.randrange(meetings)) if fault.target == BOT else fault


def _aimed(random: Random, length_s: float) -> Fault:
    moment = random.choice(list(AIMED_AT))
    return Fault(
        kind=FaultKind.KILL,
        target=random.choice(AIMED_AT[moment]),
        at_s=_at(random, length_s),
        moment=moment,
        delay_s=round(random.uniform(0.0, 0.05), 3),
    )


def _at(random: Random, length_s: float) -> float:
    return round(random.uniform(BEGIN_S, max(BEGIN_S, length_s - 2.0)), 2)


def _targets(kind: FaultKind) -> Sequence[str]:
    if kind is FaultKind.KILL:
        return PROCESSES
    if kind is FaultKind.PAUSE:
        return (*PROCESSES, BOT)
    if kind is FaultKind.STEP:
        return (*(name for name in PROCESSES if name != BALANCER), BOT)
    if kind in _ON_LINKS:
        return LINKS
    return {FaultKind.EMPTY: ("valkey",), FaultKind.REFUSE: (RECEIVER,)}.get(kind, (CHANNEL,))


def _clashes(fault: Fault, others: Iterable[Fault]) -> bool:
    """Tell whether a fault cannot be told from one that is drawn already."""
    for other in others:
        if (fault.target, fault.meeting) != (other.target, other.meeting) or other.moment is not None:
            continue
        if fault.target == BOT and FaultKind.KILL in {fault.kind, other.kind} and fault.meeting is not None:
            return True
        is_same_sort = (fault.kind is FaultKind.STEP) == (other.kind is FaultKind.STEP)
        if is_same_sort and fault.at_s <= other.until_s and other.at_s <= fault.until_s:
            return True
    return False

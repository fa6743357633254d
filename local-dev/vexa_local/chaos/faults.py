"""What goes wrong, and when: drawn by a seed. No process and no clock here."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random

LONGEST_PAUSE_S = 20.0
LONGEST_TROUBLE_S = 12.0
FEWEST, MOST = 4, 9
BEGIN_S = 0.5
"""Bots are still on their way into their meetings."""
BOT = "bot"
"""Any one of the bots that live at that moment."""
PROCESSES = ("worker-1", "worker-2", "gateway", "bots", "collector", "broker", "valkey", "postgres")
LINKS = ("pool", "postgres", "valkey", "broker")
BALANCER = "pool"
CHANNEL = "channel"
"""The way of events from their producers into the Broker."""


class FaultKind(StrEnum):
    """What is done."""

    KILL = "kill"
    """SIGKILL; whoever keeps the process alive starts it again."""
    PAUSE = "pause"
    """SIGSTOP, later SIGCONT."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong; times in seconds from when the meetings begin."""

    kind: FaultKind
    target: str
    at_s: float
    duration_s: float = 0.0

    @property
    def until_s(self) -> float:
        return self.at_s + self.duration_s

    def __str__(self) -> str:
        lasting = f" for {self.duration_s:.1f} s" if self.duration_s else ""
        return f"{self.at_s:5.1f} s  {self.kind} {self.target}{lasting}"


_WEIGHTS = {
    FaultKind.KILL: 8,
    FaultKind.PAUSE: 5,
    FaultKind.RESET: 3,
    FaultKind.CUT: 2,
    FaultKind.SLOW: 2,
    FaultKind.LATENCY: 2,
    FaultKind.REPEAT: 1,
    FaultKind.REVERSE: 1,
    FaultKind.DROP: 1,
    FaultKind.EMPTY: 1,
}
_LASTING = {FaultKind.CUT, FaultKind.SLOW, FaultKind.LATENCY, FaultKind.REPEAT, FaultKind.REVERSE, FaultKind.DROP}
_ON_LINKS = {FaultKind.RESET, FaultKind.CUT, FaultKind.SLOW, FaultKind.LATENCY}


def draw(seed: int, *, length_s: float) -> tuple[Fault, ...]:
    """Draw the faults of one seed within a length; at most one bot is killed, and none that is paused."""
    random = Random(seed)  # noqa: S311 - a schedule, no secret
    drawn: list[Fault] = []
    wanted = random.randint(FEWEST, MOST)
    while len(drawn) < wanted:
        fault = _draw_one(random, length_s=length_s)
        if not _clashes(fault, drawn):
            drawn.append(fault)
    return tuple(sorted(drawn, key=lambda fault: fault.at_s))


def _draw_one(random: Random, *, length_s: float) -> Fault:
    kind = random.choices(list(_WEIGHTS), weights=list(_WEIGHTS.values()))[0]
    at_s = round(random.uniform(BEGIN_S, max(BEGIN_S, length_s - 2.0)), 2)
    duration_s = 0.0
    if kind is FaultKind.PAUSE:
        duration_s = round(random.uniform(1.0, LONGEST_PAUSE_S), 1)
    elif kind in _LASTING:
        duration_s = round(random.uniform(2.0, LONGEST_TROUBLE_S), 1)
    return Fault(kind=kind, target=random.choice(_targets(kind)), at_s=at_s, duration_s=duration_s)


def _targets(kind: FaultKind) -> Sequence[str]:
    if kind in {FaultKind.KILL, FaultKind.PAUSE}:
        return (*PROCESSES, BOT)
    if kind in _ON_LINKS:
        return LINKS
    return ("valkey",) if kind is FaultKind.EMPTY else (CHANNEL,)


def _clashes(fault: Fault, others: Iterable[Fault]) -> bool:
    """Tell whether a fault cannot be told from one that is drawn already."""
    for other in others:
        if fault.target == other.target == BOT and FaultKind.KILL in {fault.kind, other.kind}:
            return True
        is_apart = fault.until_s < other.at_s or other.until_s < fault.at_s
        if fault.target == other.target and not is_apart:
            return True
    return False

"""
Whose windows are decoded next: pure, values in and out.

Of all tenants the one that has had the model for the shortest time goes first,
so that under overload each has an equal share, however many streams it brings.
Among a tenant's windows the earliest deadline goes first, which is that of the
window that has waited longest.

The rest of its group is whatever fits, for a decoder's step costs nearly as much
for one window as for several: windows of the same length, and elastic ones, whose
words are only shown, with silence behind them up to it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

SHOWN_ATTEND_TO_S = 12.0
"""What a group attends to whose words are only shown: with less silence behind them they flicker more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One stream that has a window due."""

    tenant: str
    waited_s: float
    """Since its audio came, or since the stream's last turn if that is shorter: a burst is not ahead of the living."""
    attended_s: float
    is_elastic: bool
    """More silence may follow it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Windows that are decoded together."""

    members: tuple[int, ...]
    """Indexes of those that waited."""
    attended_s: float


class Turns:
    """Remembers what each tenant has had."""

    def __init__(self, *, threads: int, most: int) -> None:
        """Groups hold at most `most` windows, and leave a share to the other threads."""
        self._threads = threads
        self._most = most
        self._used_s: dict[str, float] = {}
        self._level_s = 0.0

    def choose(self, waiting: Sequence[Turn]) -> Group | None:
        """Return those that are decoded together; None where none waits."""
        if not waiting:
            return None
        order = sorted(range(len(waiting)), key=lambda at: (self._used(waiting[at].tenant), -waiting[at].waited_s))
        first = waiting[order[0]]
        self._level_s = self._used(first.tenant)
        share = min(self._most, -(-len(waiting) // self._threads))
        groups = [
            Group(members=tuple(at for at in order if _fits(waiting[at], length_s))[:share], attended_s=length_s)
            for length_s in {turn.attended_s for turn in waiting if _fits(first, turn.attended_s)}
        ]
        group = max(groups, key=lambda group: (len(group.members), -group.attended_s))
        if all(waiting[at].is_elastic for at in group.members):
            return replace(group, attended_s=max(group.attended_s, SHOWN_ATTEND_TO_S))
        return group

    def charge(self, tenants: Sequence[str], took_s: float) -> None:
        """Share the time of a group among those whose windows it held, one entry a window."""
        for tenant in tenants:
            self._used_s[tenant] = self._used(tenant) + took_s / len(tenants)

    def forget(self, tenant: str) -> None:
        """A tenant has no stream any more."""
        self._used_s.pop(tenant, None)

    def _used(self, tenant: str) -> float:
        """Return the time a tenant has had; one that asked for nothing meanwhile has saved nothing up."""
        return max(self._level_s, self._used_s.get(tenant, 0.0))


def _fits(turn: Turn, attended_s: float) -> bool:
    return turn.attended_s == attended_s or (turn.is_elastic and turn.attended_s < attended_s)

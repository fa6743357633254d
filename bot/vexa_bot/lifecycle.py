"""The states of one attendance, how they follow one another, and how it can end. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from vexa_events.errors import Conflict
from vexa_events.identity import BotStatus

FOLLOWERS: Mapping[BotStatus, frozenset[BotStatus]] = {
    BotStatus.REQUESTED: frozenset({BotStatus.JOINING}),
    BotStatus.JOINING: frozenset(
        {BotStatus.AWAITING_ADMISSION, BotStatus.ACTIVE, BotStatus.STOPPING, BotStatus.FAILED}
    ),
    BotStatus.AWAITING_ADMISSION: frozenset({BotStatus.ACTIVE, BotStatus.STOPPING, BotStatus.FAILED}),
    BotStatus.ACTIVE: frozenset({BotStatus.STOPPING}),
    BotStatus.STOPPING: frozenset({BotStatus.COMPLETED, BotStatus.FAILED}),
    BotStatus.COMPLETED: frozenset(),
    BotStatus.FAILED: frozenset(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """Why an attendance is over."""

    status: BotStatus
    """Completed or failed."""
    reason: str
    evidence: str | None = None


class Lifecycle:
    """Where an attendance stands."""

    def __init__(self) -> None:
        self.status = BotStatus.REQUESTED

    def enter(self, status: BotStatus) -> None:
        """Move to the next state; raise Conflict where it cannot follow."""
        if status not in FOLLOWERS[self.status]:
            raise Conflict(f"{status.value} cannot follow {self.status.value}")
        self.status = status

    def path_to(self, ending: Ending) -> tuple[BotStatus, ...]:
        """List the states still to enter: stopping is left out only by a failure before the bot was let in."""
        if self.status is not BotStatus.ACTIVE and ending.status is BotStatus.FAILED:
            return (BotStatus.FAILED,)
        return (BotStatus.STOPPING, ending.status)

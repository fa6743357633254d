"""What an API key may allow; the gateway checks it before it forwards."""

from collections.abc import Collection
from enum import StrEnum


class Scope(StrEnum):
    """One thing that a key may allow."""

    USER = "user"
    """Everything that a user can do; what a key gets when nothing else was asked for."""
    READ = "read"
    """Meetings, transcripts, the live feed, the state of bots."""
    BOTS = "bots"
    """Starting, stopping and reconfiguring bots."""
    MEETINGS = "meetings"
    """Changing and deleting meetings."""
    WEBHOOKS = "webhooks"
    """The user's webhook and its deliveries."""


def allows(granted: Collection[str], wanted: str | None) -> bool:
    """Tell whether a key may do it; None stands for what only a key for everything may do."""
    return Scope.USER in granted or (wanted is not None and wanted in granted)

"""What a user's key may be limited to."""

from collections.abc import Collection
from enum import StrEnum


class Scope(StrEnum):
    """One permission of a key."""

    USER = "user"
    """Every call of a user; what a key has that was made without naming scopes."""
    READ = "read"
    """Meetings, transcripts, search and the live feed; changes nothing."""
    BOTS = "bots"
    """Starting, stopping, configuring and listing bots."""


def allows(granted: Collection[str], needed: str | None) -> bool:
    """Tell whether a key with these scopes may make a call that needs one."""
    return needed is None or needed in granted or Scope.USER in granted

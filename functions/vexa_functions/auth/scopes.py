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


ANY_KEY = "any"
"""Never granted: what every valid key may do, however limited."""


def allows(granted: Collection[str], needed: str | None) -> bool:
    """Tell whether a key may make a call; None is for what only a key without limits may do."""
    return needed == ANY_KEY or Scope.USER in granted or (needed is not None and needed in granted)

"""What the bots function needs of a launcher."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

STOP_GRACE_S = 30
"""What a bot gets between SIGTERM and SIGKILL unless it is told to take longer; it takes 20 at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewBot:
    """A bot that is to be started."""

    session_uid: str
    meeting_id: int
    env: Mapping[str, str]
    """All that the bot gets; holds its session's token, so it shows up in no log and no list."""


@dataclass(frozen=True, slots=True)
class Starting:
    """The bot was accepted and does not run yet."""

    why: str | None = None
    """What holds it up, where that is known."""


@dataclass(frozen=True, slots=True)
class Running:
    """The bot's process exists."""


@dataclass(frozen=True, slots=True)
class Exited:
    """The bot's process is known to have ended."""

    code: int | None
    """As a shell tells it: 128 + n for signal n; None where nobody can tell it."""
    why: str | None = None
    """What ended it, where the launcher knows more than the code."""
    at: datetime | None = field(default=None, compare=False)
    """When that was, where somebody wrote it down."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """The launcher has no record of this bot, which proves nothing."""


Observation = Starting | Running | Exited | Unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A bot that the launcher has a record of, ended or not."""

    reference: str
    session_uid: str
    started_at: datetime


class Launcher(Protocol):
    """
    Starts, observes and ends bots.

    References outlive the function's instance. Every method raises Unavailable
    when whoever runs the bots cannot be reached or refuses.
    """

    async def launch(self, bot: NewBot) -> str:
        """
        See to it that the session has had a bot, and return its reference.

        One that exists, ended or not, is left as it is; a launch that broke off
        halfway is carried on. Raise Unavailable, with nothing left running,
        where that cannot be done.
        """

    async def observe(self, reference: str) -> Observation:
        """Tell what is known of a bot."""

    async def stop(self, reference: str) -> None:
        """Ask the bot's process to end; nothing happens when it has."""

    async def kill(self, reference: str) -> None:
        """End the bot's process at once; nothing happens when it has ended."""

    async def remove(self, reference: str) -> None:
        """Forget a bot; what is left of it is ended."""

    async def found(self) -> list[Found]:
        """List every bot of this deployment that there is a record of, whichever instance started it."""

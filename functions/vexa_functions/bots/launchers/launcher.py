"""What the bots function needs of a launcher."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Running:
    """The bot's process exists."""


@dataclass(frozen=True, slots=True)
class Exited:
    """The bot's process is known to have ended; the code is None where nobody can tell it."""

    code: int | None


@dataclass(frozen=True, slots=True)
class Unknown:
    """The launcher has no record of this bot, which proves nothing."""


Observation = Running | Exited | Unknown


class Launcher(Protocol):
    """Starts, observes and stops bots; references outlive the function's instance."""

    async def launch(self, session_uid: str, env: Mapping[str, str]) -> str:
        """Start a bot with these variables and return its reference; raise Unavailable when it cannot."""

    async def observe(self, reference: str) -> Observation:
        """Tell what is known of a bot."""

    async def stop(self, reference: str) -> None:
        """Ask the bot's process to end; nothing happens when it has."""

"""What a launcher hands to a bot process, as environment variables."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, ValidationError

from vexa_events.errors import InvalidMessage
from vexa_events.fields import Language, Message, Name, RowId, Text, Uid
from vexa_events.identity import Task
from vexa_events.registry import faults

ORDER_VARIABLE = "VEXA_BOT_ORDER"
TOKEN_VARIABLE = "VEXA_SESSION_TOKEN"  # noqa: S105 - a name, not a secret


class AutomaticLeave(Message):
    """When a bot leaves by itself, in seconds; None leaves it to the bot."""

    waiting_room_s: Annotated[float, Field(ge=10.0, le=7_200.0)] | None = None
    """How long it waits to be let in."""
    startup_alone_s: Annotated[float, Field(ge=10.0, le=14_400.0)] | None = None
    """How long it waits for the first other participant."""
    everyone_left_s: Annotated[float, Field(ge=5.0, le=7_200.0)] | None = None
    """How long it stays once it is alone."""
    max_age_s: Annotated[float, Field(ge=60.0, le=43_200.0)] | None = None
    """How long it attends at most."""


class BotOrder(Message):
    """Which meeting to attend, and how."""

    session_uid: Uid
    meeting_id: RowId
    platform: Name
    native_meeting_id: Name
    meeting_url: Text | None = None
    passcode: Name | None = None
    bot_name: Name = "Vexa"
    language: Language | None = None
    """None lets the model detect it."""
    task: Task = Task.TRANSCRIBE
    automatic_leave: AutomaticLeave = AutomaticLeave()

    def to_env(self) -> dict[str, str]:
        """Spell the order as the one variable that from_env reads."""
        return {ORDER_VARIABLE: self.model_dump_json(exclude_none=True)}

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "BotOrder":
        """Read the order; raise InvalidMessage naming what is missing or wrong."""
        if ORDER_VARIABLE not in env:
            raise InvalidMessage(f"{ORDER_VARIABLE} is not set")
        try:
            return cls.model_validate_json(env[ORDER_VARIABLE])
        except ValidationError as exc:
            raise InvalidMessage(f"{ORDER_VARIABLE}: {faults(exc)}") from exc

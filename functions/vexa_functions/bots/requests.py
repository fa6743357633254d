"""The bodies that users send about bots."""

from pydantic import BaseModel, ConfigDict

from vexa_events.fields import Language, Name
from vexa_events.identity import Task


class BotRequest(BaseModel):
    """POST /bots"""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    platform: Name
    native_meeting_id: Name
    bot_name: Name | None = None
    language: Language | None = None
    task: Task | None = None
    passcode: Name | None = None


class ConfigRequest(BaseModel):
    """PUT /bots/{platform}/{native_meeting_id}/config"""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    language: Language | None = None
    task: Task | None = None

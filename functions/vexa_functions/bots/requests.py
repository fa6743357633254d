"""The bodies that users send about bots."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

from vexa_events.fields import Name
from vexa_events.identity import Task
from vexa_events.languages import LANGUAGES


def _known(code: str) -> str:
    if code not in LANGUAGES:
        raise ValueError(f"{code[:20]!r} is not a language code of the model")
    return code


Language = Annotated[str, AfterValidator(_known)]


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

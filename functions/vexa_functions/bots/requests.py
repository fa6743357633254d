"""The bodies that users send about bots."""

import unicodedata
from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from vexa_events.errors import InvalidMessage
from vexa_events.fields import Name, Text
from vexa_events.identity import Task
from vexa_events.languages import LANGUAGES
from vexa_events.launch import AutomaticLeave
from vexa_functions.bots.meeting_urls import check_host, read_meeting_url
from vexa_functions.bots.platforms import WantedMeeting


def _known(code: str) -> str:
    if code not in LANGUAGES:
        raise ValueError(f"{code[:20]!r} is not a language code of the model")
    return code


def _one_line(name: str) -> str:
    if any(unicodedata.category(character) in {"Cc", "Zl", "Zp"} for character in name):
        raise ValueError("must not contain control characters or line breaks")
    return name


Language = Annotated[str, AfterValidator(_known), Field(json_schema_extra={"enum": sorted(LANGUAGES)})]


class AutomaticLeaveRequest(AutomaticLeave):
    """When the bot is to leave by itself, in seconds."""

    model_config = ConfigDict(extra="forbid", defer_build=True)


class BotRequest(BaseModel):
    """Which meeting a bot is to attend: by platform and id, or by the address that people open."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, defer_build=True)

    platform: Name | None = None
    native_meeting_id: Name | None = None
    meeting_url: Annotated[Text, StringConstraints(min_length=1, max_length=8_192)] | None = None
    """Any form that people paste, a whole invitation included."""
    bot_name: Annotated[Name, StringConstraints(max_length=100), AfterValidator(_one_line)] | None = None
    language: Language | None = None
    """None lets the model detect it."""
    task: Task | None = None
    passcode: Name | None = None
    automatic_leave: AutomaticLeaveRequest | None = None

    @model_validator(mode="after")
    def _names_a_meeting(self) -> Self:
        if self.meeting_url is None:
            missing = [name for name in ("platform", "native_meeting_id") if getattr(self, name) is None]
            if missing:
                raise ValueError(f"{' and '.join(missing)} or meeting_url: needed to name the meeting")
        return self

    def meeting(self, *, self_hosted: Mapping[str, str]) -> WantedMeeting:
        """Return where the bot is to go; raise InvalidMessage where address and ids differ, or name a strange host."""
        if self.meeting_url is None:
            platform, native_meeting_id = self.platform or "", self.native_meeting_id or ""
            check_host(platform, native_meeting_id, self_hosted=self_hosted)
            return WantedMeeting(platform=platform, native_meeting_id=native_meeting_id, passcode=self.passcode)
        link = read_meeting_url(self.meeting_url, self_hosted=self_hosted)
        for name in ("platform", "native_meeting_id"):
            given, read = getattr(self, name), getattr(link, name)
            if given is not None and given != read:
                raise InvalidMessage(f"{name}: {given[:50]!r} is not what meeting_url says, which is {read!r}")
        return WantedMeeting(
            platform=link.platform,
            native_meeting_id=link.native_meeting_id,
            url=link.url,
            passcode=self.passcode or link.passcode,
        )


class ConfigRequest(BaseModel):
    """What an active bot is to do from now on; absent fields stay, and a null language lets the model detect it."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, defer_build=True)

    language: Language | None = None
    task: Task | None = None

    @property
    def names_language(self) -> bool:
        """Whether the language is to change, be it to none."""
        return "language" in self.model_fields_set

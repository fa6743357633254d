"""What a launcher hands to a bot process, as environment variables."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import AnyHttpUrl, BaseModel, ConfigDict, Field, ValidationError

from vexa_events.errors import InvalidMessage
from vexa_events.faults import faults
from vexa_events.fields import Language, Message, Name, RowId, Text, TraceText, Uid
from vexa_events.identity import Task

ORDER_VARIABLE = "VEXA_BOT_ORDER"
TOKEN_VARIABLE = "VEXA_SESSION_TOKEN"  # noqa: S105 - a name, not a secret
LEAVE_LIMIT_S = 10.0
"""How long a bot may take to leave the meeting."""
LONGEST_WAIT_S = 7_200.0
LONGEST_STAY_S = 43_200.0


class AutomaticLeave(Message):
    """When a bot leaves by itself, in seconds; None leaves it to the bot."""

    waiting_room_s: Annotated[float, Field(ge=10.0, le=LONGEST_WAIT_S)] | None = None
    """How long it waits to be let in."""
    startup_alone_s: Annotated[float, Field(ge=10.0, le=14_400.0)] | None = None
    """How long it waits for the first other participant."""
    everyone_left_s: Annotated[float, Field(ge=5.0, le=7_200.0)] | None = None
    """How long it stays once it is alone."""
    max_age_s: Annotated[float, Field(ge=60.0, le=LONGEST_STAY_S)] | None = None
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
    traceparent: TraceText | None = None
    """The request for the bot, of whose trace what it does is part."""
    tracestate: TraceText | None = None

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


class BotOptions(BaseModel):
    """
    What an operator may change about every bot.

    These variables are set for the bots function, which hands them on to its
    bots whatever launches them; a bot without them has the defaults.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    chromium_path: Path = Field(Path("/usr/bin/chromium"), alias="CHROMIUM_PATH")
    """The browser that attends meetings of browser platforms."""
    chromium_flags: str = Field("", alias="CHROMIUM_FLAGS")
    """More options for it, split as a shell splits words; a proxy, for example."""
    chromium_sandbox: bool = Field(False, alias="CHROMIUM_SANDBOX")
    """Whether the browser must run in its own sandbox; where the system does not let it, it does not start."""
    janus_page_url: AnyHttpUrl | None = Field(None, alias="JANUS_PAGE_URL")
    """Where the pages of our own Janus lie; an order with a meeting_url needs it not."""

    heartbeat_s: float = Field(2.0, alias="BOT_HEARTBEAT_S", gt=0, le=60)
    retry_first_s: float = Field(0.2, alias="BOT_RETRY_FIRST_S", gt=0, le=10)
    retry_longest_s: float = Field(10.0, alias="BOT_RETRY_LONGEST_S", gt=0, le=300)
    callback_limit_s: float = Field(1_800.0, alias="BOT_CALLBACK_LIMIT_S", gt=0, le=86_400)
    """How long the bots function may be away before the session is given up."""
    flush_limit_s: float = Field(1_800.0, alias="BOT_FLUSH_LIMIT_S", gt=0, le=86_400)
    """How long after the meeting the bot waits for the database to have everything."""
    terminate_limit_s: float = Field(5.0, alias="BOT_TERMINATE_LIMIT_S", gt=0, le=60)
    """The same after SIGTERM, and once more as much at most for the last report."""
    buffer_s: float = Field(1_800.0, alias="BOT_BUFFER_S", gt=0, le=86_400)
    """Audio kept per stream until it is stored."""
    buffer_max_bytes: int = Field(512 * 1024 * 1024, alias="BOT_BUFFER_MAX_BYTES", ge=32_000)
    """Audio kept over all streams, whatever their number; a second of it at least."""

    join_limit_s: float = Field(60.0, alias="BOT_JOIN_LIMIT_S", gt=0, le=600)
    """How long joining may take, and rejoining after a page was lost."""
    waiting_room_s: float = Field(600.0, alias="BOT_WAITING_ROOM_S", gt=0, le=LONGEST_WAIT_S)
    startup_alone_s: float = Field(600.0, alias="BOT_STARTUP_ALONE_S", gt=0, le=14_400)
    everyone_left_s: float = Field(60.0, alias="BOT_EVERYONE_LEFT_S", gt=0, le=7_200)
    max_age_s: float = Field(14_400.0, alias="BOT_MAX_AGE_S", gt=0, le=LONGEST_STAY_S)
    """These four hold where the order's automatic_leave says nothing else; what they mean stands there."""

    def options_env(self) -> dict[str, str]:
        """Spell what was set as the variables that it was read from."""
        chosen = {name: field for name, field in BotOptions.model_fields.items() if name in self.model_fields_set}
        return {field.alias or name: str(getattr(self, name)) for name, field in chosen.items()}

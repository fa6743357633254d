"""What a bot process reads from its environment; the only place that does."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

from pydantic import AnyHttpUrl, BaseModel, ConfigDict, Field, Json, SecretStr, ValidationError, WebsocketUrl

from vexa_bot.session_clock import BYTES_PER_MS
from vexa_events.errors import InvalidMessage
from vexa_events.launch import ORDER_VARIABLE, TOKEN_VARIABLE, BotOrder
from vexa_events.registry import faults


class BotSettings(BaseModel):
    """One session's order, where the other rooms are, and the bounds; all fields named as in the environment."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    order: Json[BotOrder] = Field(alias=ORDER_VARIABLE)
    token: SecretStr = Field(alias=TOKEN_VARIABLE, min_length=1)
    bots_url: AnyHttpUrl = Field(alias="BOT_MANAGER_URL")
    stream_url: WebsocketUrl = Field(alias="STREAM_URL")
    replay_dir: Path | None = Field(None, alias="VEXA_REPLAY_DIR")
    """Folder of recordings; platform replay is offered where this is set."""
    chromium_path: Path = Field(Path("/usr/bin/chromium"), alias="CHROMIUM_PATH")
    """The browser that attends meetings of browser platforms."""
    chromium_flags: str = Field("", alias="CHROMIUM_FLAGS")
    """More options for it, split as a shell splits words; a proxy, for example."""
    janus_page_url: AnyHttpUrl | None = Field(None, alias="JANUS_PAGE_URL")
    """Where the pages of our own Janus lie; an order with a meeting_url needs it not."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", alias="LOG_LEVEL")

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
    buffer_max_bytes: int = Field(512 * 1024 * 1024, alias="BOT_BUFFER_MAX_BYTES", ge=BYTES_PER_MS * 1_000)
    """Audio kept over all streams, whatever their number."""

    join_limit_s: float = Field(60.0, alias="BOT_JOIN_LIMIT_S", gt=0, le=600)
    """How long joining may take, and rejoining after a page was lost."""
    waiting_room_s: float = Field(600.0, alias="BOT_WAITING_ROOM_S", gt=0, le=7_200)
    startup_alone_s: float = Field(600.0, alias="BOT_STARTUP_ALONE_S", gt=0, le=14_400)
    everyone_left_s: float = Field(60.0, alias="BOT_EVERYONE_LEFT_S", gt=0, le=7_200)
    max_age_s: float = Field(14_400.0, alias="BOT_MAX_AGE_S", gt=0, le=43_200)
    """These four hold where the order's automatic_leave says nothing else; what they mean stands there."""

    @property
    def buffer_bytes_per_stream(self) -> int:
        return int(self.buffer_s * 1_000) * BYTES_PER_MS

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """Read the settings; raise InvalidMessage naming every variable that is missing or wrong."""
        try:
            return cls.model_validate({name: value for name, value in env.items() if value})
        except ValidationError as exc:
            raise InvalidMessage(f"settings of the bot: {faults(exc)}") from exc

"""What a bot process reads from its environment; the only place that does."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

from pydantic import AnyHttpUrl, Field, Json, SecretStr, ValidationError, WebsocketUrl

from vexa_bot.session_clock import BYTES_PER_MS
from vexa_events.errors import InvalidMessage
from vexa_events.faults import faults
from vexa_events.launch import ORDER_VARIABLE, TOKEN_VARIABLE, BotOptions, BotOrder
from vexa_events.trace_context import TraceContext, read_context


class BotSettings(BotOptions):
    """One session's order, where the other rooms are, and what operators may change about every bot."""

    order: Json[BotOrder] = Field(alias=ORDER_VARIABLE)
    token: SecretStr = Field(alias=TOKEN_VARIABLE, min_length=1)
    bots_url: AnyHttpUrl = Field(alias="BOT_MANAGER_URL")
    stream_url: WebsocketUrl = Field(alias="STREAM_URL")
    replay_dir: Path | None = Field(None, alias="VEXA_REPLAY_DIR")
    """Folder of recordings; platform replay is offered where this is set."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", alias="LOG_LEVEL")

    @property
    def trace(self) -> TraceContext | None:
        """The request for the bot."""
        return read_context(self.order.traceparent, self.order.tracestate)

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

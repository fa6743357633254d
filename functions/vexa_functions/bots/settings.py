"""Settings of the bots function."""

import sys
from pathlib import Path
from typing import Literal

from pydantic import AnyHttpUrl, Field, PostgresDsn, RedisDsn, SecretStr, WebsocketUrl

from vexa_functions.hosting.settings import Settings


class BotsSettings(Settings):
    """What the bots function needs from its environment."""

    database_url: PostgresDsn = Field(alias="DATABASE_URL")
    redis_url: RedisDsn = Field(alias="REDIS_URL")
    token_signing_key: SecretStr = Field(alias="TOKEN_SIGNING_KEY", min_length=32)
    sink: AnyHttpUrl = Field(alias="K_SINK")
    """Where events are posted."""
    max_connections: int = Field(4, alias="DB_POOL_MAX_SIZE", ge=1, le=50)
    launcher: Literal["process"] = Field("process", alias="BOT_LAUNCHER")
    run_dir: Path = Field(alias="BOT_RUN_DIR")
    """Where the process launcher keeps one pid file a bot."""
    bot_command: str = Field(f"{sys.executable} -m vexa_bot", alias="BOT_COMMAND", min_length=1)
    """What the process launcher runs, split as a shell splits words."""
    bot_manager_url: AnyHttpUrl = Field(alias="BOT_MANAGER_URL")
    """Where bots call back."""
    stream_url: WebsocketUrl = Field(alias="STREAM_URL")
    """Where bots stream to."""
    replay_dir: Path | None = Field(None, alias="VEXA_REPLAY_DIR")
    """Recorded meetings; the platform `replay` is offered where this is set."""
    max_session_s: float = Field(6 * 3600.0, alias="MAX_SESSION_S", gt=0.0, le=48 * 3600.0)
    """How long a bot's token lasts."""

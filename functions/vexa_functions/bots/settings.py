"""Settings of the bots function."""

import sys
from pathlib import Path
from typing import Literal

from pydantic import AnyHttpUrl, Field, PostgresDsn, RedisDsn, SecretStr, WebsocketUrl, field_validator

from vexa_functions.bots.platforms import REPLAY, RULES
from vexa_functions.hosting.settings import Settings

SELF_HOSTED = ("jitsi", "janus")


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
    platforms: str = Field("", alias="BOT_PLATFORMS")
    """Platforms to offer, with commas between them; empty offers `replay` where recordings are."""
    self_hosted: str = Field("", alias="BOT_SELF_HOSTED")
    """Meeting servers of our own, as `jitsi=meet.example.org,janus=10.0.0.1:8000`: bots go to no other unknown host."""
    admission: Literal["off", "pool"] = Field("off", alias="BOT_ADMISSION")
    """Whether a free slot of the pool is asked for before a bot is."""

    @field_validator("platforms")
    @classmethod
    def _are_known(cls, names: str) -> str:
        unknown = set(_words(names)) - RULES.keys()
        if unknown:
            raise ValueError(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(sorted(RULES))}")
        return names

    @field_validator("self_hosted")
    @classmethod
    def _are_pairs(cls, pairs: str) -> str:
        for pair in _words(pairs):
            platform, _, host = pair.partition("=")
            if platform not in SELF_HOSTED or not host:
                raise ValueError(f"must be pairs such as jitsi=meet.example.org, of {' or '.join(SELF_HOSTED)}")
        return pairs

    @property
    def offered(self) -> frozenset[str]:
        """The platforms to offer; a recording needs the folder that it lies in."""
        named = frozenset(_words(self.platforms)) or frozenset({REPLAY})
        return named if self.replay_dir else named - {REPLAY}

    @property
    def platform_by_host(self) -> dict[str, str]:
        """The platform of each meeting server of our own."""
        pairs = [pair.partition("=") for pair in _words(self.self_hosted)]
        return {host.lower(): platform for platform, _, host in pairs}


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]

"""What the command line program reads from the environment; the only place that does."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, PostgresDsn, RedisDsn

from vexa_functions.hosting.settings import Settings

NOT_PASSED_ON = frozenset({"DATABASE_URL", "REDIS_URL", "K_SINK", "ADMIN_API_KEY", "TOKEN_SIGNING_KEY", "PORT", "HOST"})
"""A process gets these from us or not at all, never from the shell that we were started in."""


class LocalSettings(Settings):
    """What can be changed about a local stack without a flag."""

    database_url: PostgresDsn | None = Field(None, alias="DATABASE_URL")
    """A Postgres that runs elsewhere; without it the embedded one is started."""
    redis_url: RedisDsn | None = Field(None, alias="REDIS_URL")
    """A Valkey that runs elsewhere; without it the embedded one is started."""
    whisper_model: str | None = Field(None, alias="WHISPER_MODEL")
    """A faster-whisper name or folder; without it the embedded tiny.en is used."""
    whisper_device: Literal["auto", "cpu", "cuda"] = Field("auto", alias="WHISPER_DEVICE")
    whisper_compute_type: str = Field("auto", alias="WHISPER_COMPUTE_TYPE")
    pool_slots: int = Field(8, alias="POOL_SLOTS", ge=1, le=1_000)
    bot_deployment: str | None = Field(None, alias="BOT_DEPLOYMENT")
    """What bots that are containers or Jobs are labelled with; without it each stack has a label of its own."""
    replay_dir: Path | None = Field(None, alias="VEXA_REPLAY_DIR")
    """Recorded meetings; without it those that come with the checkout are offered."""


def read_settings() -> LocalSettings:
    """Read the environment of this process; raise InvalidMessage naming every fault."""
    return LocalSettings.from_env(os.environ)


def inherited_environment() -> Mapping[str, str]:
    """Return what every process of the stack inherits: PATH, HOME and the like."""
    return {name: value for name, value in os.environ.items() if name not in NOT_PASSED_ON}

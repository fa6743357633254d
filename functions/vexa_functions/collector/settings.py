"""Settings of the collector."""

from pathlib import Path

from pydantic import AnyHttpUrl, Field, PostgresDsn, RedisDsn, SecretStr

from vexa_functions.hosting.settings import Settings


class CollectorSettings(Settings):
    """What the collector needs from its environment."""

    database_url: PostgresDsn = Field(alias="DATABASE_URL")
    redis_url: RedisDsn = Field(alias="REDIS_URL")
    token_signing_key: SecretStr = Field(alias="TOKEN_SIGNING_KEY", min_length=32)
    sink: AnyHttpUrl = Field(alias="K_SINK")
    """Where events are posted."""
    sink_token_file: Path | None = Field(None, alias="K_SINK_TOKEN_FILE")
    """What the sink knows us by, where it asks."""
    max_connections: int = Field(4, alias="DB_POOL_MAX_SIZE", ge=1, le=50)
    """Connections per instance; instances times this stays under max_connections of Postgres."""
    finalize_timeout_s: float = Field(120.0, alias="FINALIZE_TIMEOUT_S", ge=0.0, le=86_400.0)
    """How long an ended session may wait for text that is still on its way."""

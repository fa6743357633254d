"""Settings of the webhooks function."""

from pydantic import Field, PostgresDsn, SecretStr

from vexa_functions.hosting.settings import Settings


class WebhooksSettings(Settings):
    """What the webhooks function needs from its environment."""

    database_url: PostgresDsn = Field(alias="DATABASE_URL")
    token_signing_key: SecretStr = Field(alias="TOKEN_SIGNING_KEY", min_length=32)
    max_connections: int = Field(4, alias="DB_POOL_MAX_SIZE", ge=1, le=50)
    timeout_s: float = Field(10.0, alias="WEBHOOK_TIMEOUT_S", gt=0.0, le=25.0)
    """How long a receiver may take to answer; the Broker waits longer for us."""
    allow_loopback: bool = Field(False, alias="WEBHOOK_ALLOW_LOOPBACK")
    """Whether receivers on this machine are allowed; for local-dev alone."""

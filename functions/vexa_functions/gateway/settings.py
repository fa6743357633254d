"""Settings of the gateway."""

from pydantic import AnyHttpUrl, Field, PostgresDsn, RedisDsn, SecretStr

from vexa_functions.hosting.settings import Settings


class GatewaySettings(Settings):
    """What the gateway needs from its environment."""

    database_url: PostgresDsn = Field(alias="DATABASE_URL")
    redis_url: RedisDsn = Field(alias="REDIS_URL")
    token_signing_key: SecretStr = Field(alias="TOKEN_SIGNING_KEY", min_length=32)
    admin_api_url: AnyHttpUrl = Field(alias="ADMIN_API_URL")
    dead_letters_url: AnyHttpUrl = Field(alias="DEAD_LETTERS_URL")
    bot_manager_url: AnyHttpUrl = Field(alias="BOT_MANAGER_URL")
    transcription_collector_url: AnyHttpUrl = Field(alias="TRANSCRIPTION_COLLECTOR_URL")
    max_connections: int = Field(4, alias="DB_POOL_MAX_SIZE", ge=1, le=50)
    """Connections for authentication alone: forwarding uses none."""
    forward_timeout_s: float = Field(30.0, alias="FORWARD_TIMEOUT_S", gt=0.0, le=600.0)
    """Longer than a cold start of the function behind."""
    max_socket_s: float = Field(570.0, alias="MAX_SOCKET_S", gt=0.0)
    """A live connection is closed in good order before Knative would cut it at 600 s."""

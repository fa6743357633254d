"""Settings of the dead letter function."""

from pydantic import AnyHttpUrl, Field, PostgresDsn, SecretStr

from vexa_functions.hosting.settings import Settings


class DeadLettersSettings(Settings):
    """What the dead letter function needs from its environment."""

    database_url: PostgresDsn = Field(alias="DATABASE_URL")
    admin_api_key: SecretStr = Field(alias="ADMIN_API_KEY", min_length=16)
    sink: AnyHttpUrl = Field(alias="K_SINK")
    """Where redriven events are posted."""
    max_connections: int = Field(2, alias="DB_POOL_MAX_SIZE", ge=1, le=50)

"""Settings of the admin function."""

from pydantic import Field, PostgresDsn, SecretStr

from vexa_functions.hosting.settings import Settings


class AdminSettings(Settings):
    """What the admin function needs from its environment."""

    database_url: PostgresDsn = Field(alias="DATABASE_URL")
    admin_api_key: SecretStr = Field(alias="ADMIN_API_KEY", min_length=16)
    max_connections: int = Field(2, alias="DB_POOL_MAX_SIZE", ge=1, le=50)

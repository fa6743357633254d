"""Settings of the dead letter function."""

from pathlib import Path

from pydantic import AnyHttpUrl, Field, PostgresDsn

from vexa_functions.auth.admin_key import AdminKey
from vexa_functions.hosting.settings import Settings


class DeadLettersSettings(Settings):
    """What the dead letter function needs from its environment."""

    database_url: PostgresDsn = Field(alias="DATABASE_URL")
    admin_api_key: AdminKey = Field(alias="ADMIN_API_KEY")
    sink: AnyHttpUrl = Field(alias="K_SINK")
    """Where redriven events are posted."""
    sink_token_file: Path | None = Field(None, alias="K_SINK_TOKEN_FILE")
    """What the sink knows us by, where it asks."""
    max_connections: int = Field(2, alias="DB_POOL_MAX_SIZE", ge=1, le=50)

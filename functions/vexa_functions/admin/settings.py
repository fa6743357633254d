"""Settings of the admin function."""

from pydantic import Field, PostgresDsn

from vexa_functions.auth.admin_key import AdminKey
from vexa_functions.hosting.settings import Settings


class AdminSettings(Settings):
    """What the admin function needs from its environment."""

    database_url: PostgresDsn = Field(alias="DATABASE_URL")
    admin_api_key: AdminKey = Field(alias="ADMIN_API_KEY")
    max_connections: int = Field(2, alias="DB_POOL_MAX_SIZE", ge=1, le=50)

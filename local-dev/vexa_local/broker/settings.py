"""Settings of the local Broker."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import Field, HttpUrl, Json, RedisDsn, SecretStr

from vexa_functions.hosting.settings import Settings


class BrokerSettings(Settings):
    """What the local Broker needs from its environment."""

    host: str = Field("127.0.0.1", alias="HOST")
    port: int = Field(8060, alias="PORT", ge=1, le=65_535)
    redis_url: RedisDsn = Field(alias="REDIS_URL")
    """Valkey with `appendonly yes` and `appendfsync always`: an answered write is on disk."""
    knative_dir: Path = Field(alias="KNATIVE_DIR")
    """The folder whose manifests are read, once, at start."""
    service_urls: Json[Mapping[str, HttpUrl]] = Field(alias="SERVICE_URLS")
    """The base URL of each Knative Service, as a JSON object."""
    admin_api_key: SecretStr | None = Field(None, alias="ADMIN_API_KEY")
    """With it the console also shows what the dead letter function keeps."""

"""Settings of the gateway."""

from pydantic import AnyHttpUrl, Field, PostgresDsn, RedisDsn, SecretStr

from vexa_functions.hosting.settings import Settings


class GatewaySettings(Settings):
    """What the gateway needs from its environment."""

    database_url: PostgresDsn = Field(alias="DATABASE_URL")
    redis_url: RedisDsn = Field(alias="REDIS_URL")
    token_signing_key: SecretStr = Field(alias="TOKEN_SIGNING_KEY", min_length=32)
    admin_api_url: AnyHttpUrl = Field(alias="ADMIN_API_URL")
    dead_letters_url: AnyHttpUrl | None = Field(None, alias="DEAD_LETTERS_URL")
    """Routes of a function without an address answer 503."""
    bot_manager_url: AnyHttpUrl = Field(alias="BOT_MANAGER_URL")
    transcription_collector_url: AnyHttpUrl = Field(alias="TRANSCRIPTION_COLLECTOR_URL")
    webhooks_url: AnyHttpUrl | None = Field(None, alias="WEBHOOKS_URL")
    auth_connections: int = Field(2, alias="AUTH_POOL_MAX_SIZE", ge=1, le=50)
    """Connections for looking keys up, and for nothing else: no other load can make a valid key wait."""
    max_connections: int = Field(4, alias="DB_POOL_MAX_SIZE", ge=1, le=50)
    """Connections for the live feed; forwarding uses none."""
    max_forwards: int = Field(100, alias="MAX_FORWARDS", ge=1, le=10_000)
    """Requests on their way to one function behind; more wait."""
    forward_timeout_s: float = Field(30.0, alias="FORWARD_TIMEOUT_S", gt=0.0, le=600.0)
    """Longer than a cold start of the function behind."""
    max_socket_s: float = Field(570.0, alias="MAX_SOCKET_S", gt=0.0)
    """A live connection is closed in good order before Knative would cut it at 600 s."""
    send_timeout_s: float = Field(10.0, alias="LIVE_SEND_TIMEOUT_S", gt=0.0, le=60.0)
    """A watcher that takes nothing for this long is dropped."""
    heartbeat_s: float = Field(15.0, alias="LIVE_HEARTBEAT_S", gt=0.0, le=60.0)
    """An event stream is never silent for longer."""
    max_live_connections: int = Field(500, alias="MAX_LIVE_CONNECTIONS", ge=1, le=100_000)
    """Watchers per instance."""
    key_rate_hz: float = Field(50.0, alias="RATE_PER_KEY_HZ", gt=0.0, le=1_000_000.0)
    key_burst: int = Field(300, alias="BURST_PER_KEY", ge=1, le=10_000_000)
    """Requests of one key over all instances: the steady rate, and how many at once."""
    address_rate_hz: float = Field(20.0, alias="RATE_PER_ADDRESS_HZ", gt=0.0, le=1_000_000.0)
    address_burst: int = Field(300, alias="BURST_PER_ADDRESS", ge=1, le=10_000_000)
    """Requests of one address whose key is not known to be valid, administrators' included."""
    trusted_hops: int = Field(0, alias="TRUSTED_PROXY_HOPS", ge=0, le=10)
    """How many proxies in front append to X-Forwarded-For; without any the peer is the address."""
    cors_origins: str = Field("", alias="CORS_ORIGINS", max_length=4_096)
    """Origins whose pages may call the API, with commas between them; none as a rule."""

    @property
    def origins(self) -> list[str]:
        return [origin.strip() for origin in self.cors_origins.split(",") if origin.strip()]

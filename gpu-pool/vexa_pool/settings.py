"""What a worker reads from its environment; the only place of this room that does."""

from collections.abc import Mapping
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, ValidationError, model_validator

from vexa_events.errors import InvalidMessage
from vexa_events.faults import faults
from vexa_events.session_token import MIN_KEY_BYTES
from vexa_events.telemetry import TraceSettings

MIN_API_KEY_LENGTH = 16


class PoolSettings(TraceSettings):
    """The settings of one worker."""

    host: str = Field("127.0.0.1", alias="HOST")
    port: int = Field(9090, alias="PORT", ge=0, le=65_535)
    rest_port: int | None = Field(None, alias="REST_PORT", ge=0, le=65_535)
    """Where whole recordings are taken over HTTP; nowhere unless set."""
    rest_api_key: SecretStr | None = Field(None, alias="REST_API_KEY", min_length=MIN_API_KEY_LENGTH)
    """What their senders show as a bearer token."""
    whisper_model: str = Field(alias="WHISPER_MODEL", min_length=1)
    """A directory with a CTranslate2 model, or a name that faster-whisper knows."""
    whisper_device: str = Field("auto", alias="WHISPER_DEVICE", pattern="^(auto|cpu|cuda)$")
    whisper_compute_type: str = Field("auto", alias="WHISPER_COMPUTE_TYPE", min_length=1)
    decode_batch: int | None = Field(None, alias="POOL_DECODE_BATCH", ge=1, le=256)
    """Windows decoded at once; `vexa-loadtest --profile gpu` finds it. Eight on a CPU, by free memory on a GPU."""
    slots: int = Field(8, alias="POOL_SLOTS", ge=1, le=1_000)
    """Streams taken at once; the next one is told to wait."""
    worker_id: str | None = Field(None, alias="POOL_WORKER_ID", pattern="^[A-Za-z0-9_.:-]{1,128}$")
    """What this worker is called among all; its host and port unless set."""
    lost_bot_after_s: float = Field(45.0, alias="POOL_LOST_BOT_AFTER_S", gt=0.0, le=3_600.0)
    """A bot whose connection broke has this long to come back; then what was heard of it is committed."""
    max_lag_s: float = Field(900.0, alias="MAX_LAG_S", ge=1.0, le=1_800.0)
    """A stream further behind its speaker loses its oldest audio. Bots keep 30 minutes: the rest is for an outage."""
    drain_s: float = Field(0.0, alias="POOL_DRAIN_S", ge=0.0, le=86_400.0)
    """How long a stopping worker lets its streams go on; without it they go elsewhere at once, and lose nothing."""
    hello_within_s: float = Field(10.0, alias="POOL_HELLO_WITHIN_S", gt=0.0, le=60.0)
    """A handshake, and then the first message, may take this long each."""
    unread_after_s: float = Field(30.0, alias="POOL_UNREAD_AFTER_S", gt=0.0, le=600.0)
    """A client that takes nothing of what it is sent for this long is hung up on."""
    ping_every_s: float = Field(20.0, alias="POOL_PING_EVERY_S", gt=0.0, le=600.0)
    """How often each client is shown that the worker lives, however busy it is."""
    redis_url: SecretStr | None = Field(None, alias="REDIS_URL")
    sink: str | None = Field(None, alias="K_SINK", pattern="^https?://")
    sink_token_file: Path | None = Field(None, alias="K_SINK_TOKEN_FILE")
    """What the sink knows us by, where it asks."""
    pod_url: str | None = Field(None, alias="POOL_POD_URL", pattern="^https?://")
    """Our own pod in the API of Kubernetes, on which we write how much would be lost with us."""
    account_dir: Path = Field(Path("/var/run/secrets/kubernetes.io/serviceaccount"), alias="POOL_ACCOUNT_DIR")
    """The token to do that with, and the authority that signed the API's certificate."""
    token_signing_key: SecretStr | None = Field(None, alias="TOKEN_SIGNING_KEY", min_length=MIN_KEY_BYTES)
    log_level: str = Field("INFO", alias="LOG_LEVEL", pattern="^(DEBUG|INFO|WARNING|ERROR)$")

    @model_validator(mode="after")
    def _all_or_none(self) -> Self:
        needed = {"REDIS_URL": self.redis_url, "K_SINK": self.sink, "TOKEN_SIGNING_KEY": self.token_signing_key}
        missing = [name for name, value in needed.items() if value is None]
        if 0 < len(missing) < len(needed):
            raise ValueError(f"stored streams need REDIS_URL, K_SINK and TOKEN_SIGNING_KEY; missing: {missing}")
        return self

    @model_validator(mode="after")
    def _recordings_are_guarded(self) -> Self:
        """A worker whose streams need tokens serves nobody unknown beside them."""
        if self.token_signing_key is not None and self.rest_port is not None and self.rest_api_key is None:
            raise ValueError("REST_PORT needs REST_API_KEY where TOKEN_SIGNING_KEY is set")
        return self

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """Read the settings; raise InvalidMessage naming every fault at once."""
        try:
            return cls.model_validate(dict(env))
        except ValidationError as exc:
            raise InvalidMessage(f"settings: {faults(exc)}") from exc

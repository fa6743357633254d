"""How a process reads its settings: once, all faults named, nothing printed that was set."""

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field, ValidationError

from vexa_events.errors import InvalidMessage
from vexa_events.faults import faults
from vexa_events.telemetry import TraceSettings


class Settings(TraceSettings):
    """Base of every function's settings; fields carry the variable's name as alias."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", alias="LOG_LEVEL")
    metrics_port: int | None = Field(None, alias="METRICS_PORT", ge=1, le=65_535)
    """Where Prometheus reads `/metrics`, and nothing else is served; nowhere if not told."""

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """Read the settings; raise InvalidMessage naming every variable that is missing or wrong."""
        try:
            return cls.model_validate({name: value for name, value in env.items() if value})
        except ValidationError as exc:
            raise InvalidMessage(f"settings of {cls.__module__}: {faults(exc)}") from exc

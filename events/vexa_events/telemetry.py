"""Where the spans of a process go, as OpenTelemetry names these settings; by default nowhere."""

import os
import socket
from collections.abc import Callable

from pydantic import AnyHttpUrl, BaseModel, ConfigDict, Field

from vexa_events.tracing import Tracer


class TraceSettings(BaseModel):
    """Part of the settings of every process that makes spans."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, populate_by_name=True)

    otlp_endpoint: AnyHttpUrl | None = Field(None, alias="OTEL_EXPORTER_OTLP_ENDPOINT")
    """Who takes spans, by OTLP over HTTP; where nobody does, none are made."""
    trace_ratio: float = Field(1.0, alias="OTEL_TRACES_SAMPLER_ARG", ge=0.0, le=1.0)
    """The part of the traces begun here that is recorded; what comes with a trace follows that."""


def open_tracer(service: str, settings: TraceSettings, *, count: Callable[[str, int], None]) -> Tracer:
    """Make the tracer of a process; what exports is imported only where there is somewhere to export to."""
    if settings.otlp_endpoint is None:
        return Tracer()
    from vexa_events.otlp import OtlpExporter  # noqa: PLC0415 - see above

    resource = {
        "service.name": f"vexa-{service}",
        "service.namespace": "vexa",
        "service.instance.id": f"{socket.gethostname()}:{os.getpid()}",
    }
    return Tracer(OtlpExporter(str(settings.otlp_endpoint), resource, count=count), ratio=settings.trace_ratio)

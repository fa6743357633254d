"""A built function: its app, and how to end it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.types import ASGIApp

from vexa_functions.hosting.measured import Measured
from vexa_functions.hosting.outermost import Outermost


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """What `build(settings)` of each function returns."""

    app: ASGIApp
    """Answers its own defects, so that neither the framework nor the server sees and logs them again."""
    log_level: str
    metrics_port: int | None = None
    """Where Prometheus reads; nowhere if not told."""
    aclose: Callable[[], Awaitable[None]]

    def __post_init__(self) -> None:
        object.__setattr__(self, "app", Outermost(Measured(self.app)))

"""A built function: its app, and how to end it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.types import ASGIApp

from vexa_events.telemetry import open_tracer
from vexa_functions.hosting.measured import Measured
from vexa_functions.hosting.metrics import SPANS
from vexa_functions.hosting.outermost import Outermost
from vexa_functions.hosting.settings import Settings
from vexa_functions.hosting.traced import Traced


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """What `build(settings)` of each function returns."""

    name: str
    app: ASGIApp
    """Answers its own defects, so that neither the framework nor the server sees and logs them again."""
    settings: Settings
    aclose: Callable[[], Awaitable[None]]
    """Closes what the app has opened, then hands on the last spans."""

    def __post_init__(self) -> None:
        tracer = open_tracer(self.name, self.settings, count=_count_spans)
        close_app = self.aclose

        async def close() -> None:
            await close_app()
            await tracer.aclose()

        object.__setattr__(self, "app", Traced(Outermost(Measured(self.app)), tracer))
        object.__setattr__(self, "aclose", close)


def _count_spans(outcome: str, number: int) -> None:
    SPANS.add(number, outcome)

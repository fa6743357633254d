"""A built function: its app, and how to end it."""

from collections.abc import Awaitable, Callable

from starlette.types import ASGIApp

from vexa_events.telemetry import open_tracer
from vexa_functions.hosting.measured import Measured
from vexa_functions.hosting.metrics import SPANS
from vexa_functions.hosting.outermost import Outermost
from vexa_functions.hosting.settings import Settings
from vexa_functions.hosting.traced import Traced


class Function:
    """What `build(settings)` of each function returns."""

    def __init__(self, *, name: str, app: ASGIApp, settings: Settings, aclose: Callable[[], Awaitable[None]]) -> None:
        """`aclose` closes what the app has opened."""
        self.tracer = open_tracer(name, settings, count=_count_spans)
        self._close_app = aclose
        self.settings = settings
        self.app: ASGIApp = Traced(Outermost(Measured(app)), self.tracer)
        """Answers its own defects, so that neither the framework nor the server sees and logs them again."""

    async def aclose(self) -> None:
        """Close what the app has opened, then hand on the last spans."""
        await self._close_app()
        await self.tracer.aclose()


def _count_spans(outcome: str, number: int) -> None:
    SPANS.add(number, outcome)

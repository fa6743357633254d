"""A built function: its app, and how to end it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.applications import Starlette


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """What `build(settings)` of each function returns."""

    app: Starlette
    log_level: str
    aclose: Callable[[], Awaitable[None]]

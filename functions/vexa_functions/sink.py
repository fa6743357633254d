"""The sink as functions hold it: most cold starts publish nothing, so its HTTP client waits for the first event."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from vexa_events.envelope import Event
from vexa_functions.hosting.lazy import Lazy

if TYPE_CHECKING:
    from vexa_events.publisher import SinkPublisher

STEP_TIMEOUT_S = 3.0
"""A sink that hangs must not keep the request waiting that filled the outbox."""


class Publisher(Protocol):
    """What functions need of a sink."""

    async def publish(self, event: Event) -> None:
        """Hand over one event; return once the sink has accepted it."""


class Sink:
    """Publishes to one HTTP sink (`K_SINK`) as SinkPublisher does; opened by the first event."""

    def __init__(self, url: str, *, token_file: Path | None) -> None:
        self._publisher = Lazy(partial(_open, url, token_file))

    async def publish(self, event: Event) -> None:
        """Raise Unavailable where trying again may help, InvalidMessage where it cannot."""
        await (await self._publisher.get()).publish(event)

    async def aclose(self) -> None:
        """Close what was opened."""
        await self._publisher.aclose()


@asynccontextmanager
async def _open(url: str, token_file: Path | None) -> "AsyncIterator[SinkPublisher]":
    import httpx  # noqa: PLC0415 - see the module

    from vexa_events.publisher import SinkPublisher  # noqa: PLC0415

    async with httpx.AsyncClient(timeout=STEP_TIMEOUT_S) as client:
        yield SinkPublisher(client, url, token_file=token_file)

"""What carries a feed has in common: bounds on time, on sending, and on how many there are."""

import asyncio
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from vexa_events.errors import Overloaded, VexaError
from vexa_functions.gateway.access import Access
from vexa_functions.gateway.live.ring import Rings
from vexa_functions.store.tables import Store


class TooSlow(VexaError):
    """The watcher does not take what it is sent."""


class Gone(VexaError):
    """The watcher has left."""


class Places:
    """How many watchers an instance carries at once."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken = 0

    @contextmanager
    def place(self) -> Iterator[None]:
        """Take a place until the block ends; raise Overloaded when there is none."""
        if self._taken >= self._most:
            raise Overloaded(f"{self._most} live connections are open here; try again")
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveDeps:
    """What live connections need."""

    store: Store
    rings: Rings
    access: Access
    places: Places
    max_s: float
    """A connection is ended in good order after this, before Knative would cut it."""
    send_timeout_s: float
    """A watcher that takes nothing for this long is dropped; it resumes with the last id."""
    heartbeat_s: float
    """An event stream is never silent for longer."""


async def send_in_time(sending: Awaitable[None], timeout_s: float) -> None:
    """Send; raise TooSlow where the other side does not take it."""
    try:
        async with asyncio.timeout(timeout_s):
            await sending
    except TimeoutError as exc:
        raise TooSlow(f"nothing was taken for {timeout_s} s") from exc

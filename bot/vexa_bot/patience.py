"""How long the end of a session may take."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Patience:
    """A limit that becomes a short one when somebody hurries; it holds for each step of the end anew."""

    def __init__(self, *, limit_s: float, hurried_s: float) -> None:
        self._limit_s = limit_s
        self._hurried_s = hurried_s
        self._running: asyncio.Timeout | None = None

    def hurry(self) -> None:
        """Use the short limit from here on, for the running step too."""
        self._limit_s = self._hurried_s
        if self._running is not None:
            self._running.reschedule(asyncio.get_running_loop().time() + self._hurried_s)

    @asynccontextmanager
    async def bounded(self) -> AsyncIterator[None]:
        """Run a step under the limit in force; raises TimeoutError past it."""
        async with asyncio.timeout(self._limit_s) as limit:
            self._running = limit
            try:
                yield
            finally:
                self._running = None

"""How many streams a worker takes."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from vexa_events.errors import Overloaded


class Slots:
    """Counts the streams being carried."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.taken = 0
        self._freed = asyncio.Event()

    @property
    def free(self) -> int:
        return self.total - self.taken

    @contextmanager
    def claim(self) -> Iterator[None]:
        """Hold one slot; raise Overloaded where none is free."""
        if not self.free:
            raise Overloaded(f"all {self.total} slots are taken")
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1
            self._freed.set()

    async def emptied(self) -> None:
        """Wait until no stream is carried."""
        while self.taken:
            self._freed.clear()
            await self._freed.wait()

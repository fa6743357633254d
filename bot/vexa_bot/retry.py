"""When to try again."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from vexa_events.errors import Overloaded, Unavailable

logger = logging.getLogger(__name__)
T = TypeVar("T")


class Backoff:
    """Delays that double from the first to the longest, each between half and all of its size."""

    def __init__(self, *, first_s: float, longest_s: float, random: Callable[[], float]) -> None:
        """`random` returns numbers in [0, 1)."""
        self._first_s = first_s
        self._longest_s = longest_s
        self._random = random
        self._size_s = first_s

    def next_s(self) -> float:
        """Return the next delay in seconds."""
        delay_s = self._size_s * (0.5 + self._random() / 2)
        self._size_s = min(self._longest_s, self._size_s * 2)
        return delay_s

    def reset(self) -> None:
        """Begin again with the first delay."""
        self._size_s = self._first_s


async def persist(attempt: Callable[[], Awaitable[T]], *, backoff: Backoff, limit_s: float) -> T:
    """Repeat the attempt while trying again may help; past the limit, raise what it raised."""
    now = asyncio.get_running_loop().time
    deadline_s = now() + limit_s
    while True:
        try:
            return await attempt()
        except (Unavailable, Overloaded) as exc:
            delay_s = backoff.next_s()
            if now() + delay_s > deadline_s:
                raise
            logger.info("trying again", extra={"cause": str(exc), "delay_s": round(delay_s, 3)})
        await asyncio.sleep(delay_s)

"""Opens a function's resources on first use, once, under a lock."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Generic, TypeVar

R = TypeVar("R")


class Lazy(Generic[R]):
    """A resource that exists from its first use until aclose."""

    def __init__(self, opener: Callable[[], AbstractAsyncContextManager[R]]) -> None:
        self._opener = opener
        self._stack = AsyncExitStack()
        self._lock = asyncio.Lock()
        self._opened: R | None = None

    async def get(self) -> R:
        """Return the resource, opening it when nobody has yet; a failed opening is tried again next time."""
        if self._opened is None:
            async with self._lock:
                if self._opened is None:
                    self._opened = await self._stack.enter_async_context(self._opener())
        return self._opened

    async def aclose(self) -> None:
        """Close the resource if it was opened."""
        await self._stack.aclose()

"""How tests wait: for a condition, never for a time."""

import asyncio
from collections.abc import Callable

DEADLINE_S = 60.0
"""Longer than anything takes on a machine that others use too; a test that passes never waits so long."""


async def eventually(condition: Callable[[], object], *, within_s: float = DEADLINE_S) -> None:
    """Return once a condition holds; TimeoutError where it never does."""
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.01)

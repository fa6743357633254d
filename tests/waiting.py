"""How tests wait: for a condition, never for a time."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import asyncpg
import httpx

DEADLINE_S = 120.0
"""Longer than anything takes on a machine that others use too; a test that passes never waits so long."""
LOCKED_OUT = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


async def eventually(condition: Callable[[], object], *, within_s: float = DEADLINE_S) -> None:
    """Return once a condition holds; TimeoutError where it never does."""
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.01)


async def until_locked_out(postgres_url: str, task: "asyncio.Future[Any]") -> None:
    """Return once a task waits for what another transaction of this database holds, or is done."""
    connection = await asyncpg.connect(postgres_url)
    try:
        async with asyncio.timeout(DEADLINE_S):
            while not task.done() and not await connection.fetchval(LOCKED_OUT):
                await asyncio.sleep(0.02)
    finally:
        await connection.close()


def patiently(ask: Callable[[], httpx.Response]) -> httpx.Response:
    """Ask again for as long as the answer is 503, which tells to do so: a starved stack may say it at any time."""
    deadline_s = time.monotonic() + DEADLINE_S
    while (answer := ask()).status_code == 503 and time.monotonic() < deadline_s:
        time.sleep(0.5)
    return answer

"""
Whether the pool has room for one more bot, asked before anything is written.

Every worker writes how full it is each second. Bots that were asked for and
do not stream yet count as well: each of them is on its way to a slot. Two
requests at the same moment may both see the last slot; the bot that finds the
worker full keeps its audio and tries again, so nothing is lost by it.
"""

import asyncio
from typing import Any, Protocol

import redis.asyncio as redis
from pydantic import ValidationError
from redis.exceptions import RedisError

from vexa_events.errors import Overloaded, Unavailable
from vexa_events.live import WORKER_PREFIX, WorkerSlots
from vexa_functions.store.tables import Store

TIMEOUT_S = 5.0
SCAN_COUNT = 2_000
ARRIVING_WITHIN_S = 120.0
"""A bot that has not begun to stream for longer than this waits for people, not for a slot."""


class Admission(Protocol):
    """What the service asks before it writes."""

    async def check(self) -> None:
        """Raise Overloaded when no slot is free, Unavailable when nobody can tell."""


class OpenAdmission:
    """Lets everybody in."""

    async def check(self) -> None:
        """Raise nothing."""


class PoolAdmission:
    """Lets in whom a living worker has a slot for."""

    def __init__(self, client: "redis.Redis", store: Store) -> None:
        self._client = client
        self._store = store

    async def check(self) -> None:
        """Compare free slots with the bots on their way to one."""
        workers = await self._workers()
        if not workers:
            raise Overloaded("no worker of the pool is alive")
        free = sum(max(0, worker.slots - worker.streams) for worker in workers)
        async with self._store.reading() as tables:
            arriving = await tables.sessions.count_arriving(within_s=ARRIVING_WITHIN_S)
        if free <= arriving:
            slots = sum(worker.slots for worker in workers)
            raise Overloaded(f"every slot of the pool is taken ({slots} slots, {arriving} bots on their way)")

    async def _workers(self) -> list[WorkerSlots]:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                keys = [key async for key in self._client.scan_iter(match=f"{WORKER_PREFIX}*", count=SCAN_COUNT)]
                values: list[Any] = await self._client.mget(keys) if keys else []
        except (RedisError, OSError, TimeoutError) as exc:
            raise Unavailable(f"valkey: {type(exc).__name__}") from exc
        return [worker for value in values if value is not None and (worker := _parsed(value)) is not None]


def _parsed(value: str) -> WorkerSlots | None:
    """Read what a worker wrote; one that cannot be read offers no slot."""
    try:
        return WorkerSlots.model_validate_json(value)
    except ValidationError:
        return None

"""
Whether the pool takes what a user asks of it, asked before anything is written.

Every worker writes how full it is each second. Bots that were asked for and
do not stream yet count as well: each of them is on its way to a slot. Two
requests at the same moment may both see the last slot; the bot that finds the
worker full keeps its audio and tries again, so nothing is lost by it.
"""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import redis.asyncio as redis
from pydantic import ValidationError
from redis.exceptions import RedisError

from vexa_events.errors import InvalidMessage, Overloaded, Unavailable
from vexa_events.identity import Task
from vexa_events.live import WORKER_PREFIX, WorkerSlots
from vexa_functions.store.tables import Store

logger = logging.getLogger(__name__)

TIMEOUT_S = 5.0
SCAN_COUNT = 2_000
ARRIVING_WITHIN_S = 120.0
"""A bot that has not begun to stream for longer than this waits for people, not for a slot."""


class Admission(Protocol):
    """What the service asks before it writes."""

    async def check(self, language: str | None, task: Task | None) -> None:
        """Raise Overloaded when no slot is free, InvalidMessage when no worker does this, Unavailable if unknown."""

    async def check_order(self, language: str | None, task: Task | None) -> None:
        """Raise InvalidMessage when it is known that no worker does this."""


class OpenAdmission:
    """Lets everybody in."""

    async def check(self, language: str | None, task: Task | None) -> None:
        """Raise nothing."""

    async def check_order(self, language: str | None, task: Task | None) -> None:
        """Raise nothing."""


class PoolAdmission:
    """Lets in whom a living worker has a slot for."""

    def __init__(self, client: "redis.Redis", store: Store) -> None:
        self._client = client
        self._store = store

    async def check(self, language: str | None, task: Task | None) -> None:
        """Compare the wish with what is offered, and free slots with the bots on their way to one."""
        workers = await self._workers()
        if not workers:
            raise Overloaded("no worker of the pool is alive")
        _check_offer(workers, language, task)
        free = sum(max(0, worker.slots - worker.streams) for worker in workers)
        async with self._store.reading() as tables:
            arriving = await tables.sessions.count_arriving(within_s=ARRIVING_WITHIN_S)
        if free <= arriving:
            slots = sum(worker.slots for worker in workers)
            raise Overloaded(f"every slot of the pool is taken ({slots} slots, {arriving} bots on their way)")

    async def check_order(self, language: str | None, task: Task | None) -> None:
        """Compare an order to a running bot with what is offered, where that is known; the bot copes elsewhere."""
        try:
            workers = await self._workers()
        except Unavailable as exc:
            logger.warning("order not checked against the pool", extra={"error": str(exc)})
            return
        if workers:
            _check_offer(workers, language, task)

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


def _check_offer(workers: Sequence[WorkerSlots], language: str | None, task: Task | None) -> None:
    """Raise InvalidMessage, naming the field and what is offered, where no worker takes both; None asks nothing."""
    doing = [worker for worker in workers if task is None or worker.tasks is None or task in worker.tasks]
    if not doing:
        raise _not_offered("task", repr(str(task)), (worker.tasks or () for worker in workers))
    if language is None or any(worker.languages is None or language in worker.languages for worker in doing):
        return
    hearing = any(worker.languages is None or language in worker.languages for worker in workers)
    wish = f"{language!r} with {str(task)!r}" if hearing else repr(language)
    raise _not_offered("language", wish, (worker.languages or () for worker in doing))


def _not_offered(field: str, wish: str, offers: Iterable[Sequence[str]]) -> InvalidMessage:
    offered = ", ".join(sorted({str(value) for offer in offers for value in offer}))
    return InvalidMessage(f"{field}: no worker of the pool takes {wish}; offered: {offered}")

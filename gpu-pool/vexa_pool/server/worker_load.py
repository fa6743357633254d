"""How full a worker is and what it takes, written where the bots function reads it before it starts a bot."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import redis.asyncio as redis
from redis.exceptions import RedisError

from vexa_events.errors import InvalidMessage
from vexa_events.identity import Task
from vexa_events.languages import LANGUAGES
from vexa_events.live import WORKER_LIFETIME_S, WorkerSlots, worker_key
from vexa_pool.engine.model import Model
from vexa_pool.server.slots import Slots

logger = logging.getLogger(__name__)

WRITE_EVERY_S = 1.0
TIMEOUT_S = 2.0


class WorkerLoad:
    """Says once a second that the worker lives, and what it carries."""

    def __init__(self, valkey: redis.Redis, model: Model, slots: Slots, *, worker_id: str, url: str) -> None:
        self._valkey = valkey
        self._slots = slots
        self._key = worker_key(worker_id)
        self._url = url
        self._languages = _languages(model)
        self._tasks = _tasks(model)

    @asynccontextmanager
    async def announced(self) -> AsyncIterator[None]:
        """Offer the worker's slots while the context lasts, and none from its end on."""
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])
            await self._withdraw()

    async def _run(self) -> None:
        while True:
            try:
                async with asyncio.timeout(TIMEOUT_S):
                    await self._valkey.set(self._key, self._message(), ex=WORKER_LIFETIME_S)
            except (RedisError, OSError, TimeoutError) as exc:
                logger.warning("slots not announced", extra={"error": type(exc).__name__})
            await asyncio.sleep(WRITE_EVERY_S)

    async def _withdraw(self) -> None:
        """Take the key away; where that fails it expires by itself."""
        with contextlib.suppress(RedisError, OSError, TimeoutError):
            async with asyncio.timeout(TIMEOUT_S):
                await self._valkey.delete(self._key)

    def _message(self) -> str:
        slots = self._slots
        return WorkerSlots(
            slots=slots.total, streams=slots.taken, url=self._url, languages=self._languages, tasks=self._tasks
        ).model_dump_json()


def _languages(model: Model) -> tuple[str, ...] | None:
    """List what the model hears; None where that is every language."""
    taken = tuple(code for code in sorted(LANGUAGES) if _takes(model, code, Task.TRANSCRIBE))
    return None if len(taken) == len(LANGUAGES) else taken


def _tasks(model: Model) -> tuple[Task, ...] | None:
    """List what the model does; None where that is every task."""
    taken = tuple(task for task in Task if _takes(model, None, task))
    return None if len(taken) == len(Task) else taken


def _takes(model: Model, language: str | None, task: Task) -> bool:
    try:
        model.check(language, task)
    except InvalidMessage:
        return False
    return True

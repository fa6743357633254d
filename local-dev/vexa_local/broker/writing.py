"""Writes to Valkey in company: what comes while a journey is under way goes on the next one, together."""

import asyncio
from collections.abc import Sequence
from typing import Any

import redis.asyncio as redis
from redis.typing import EncodableT

from vexa_local.broker.valkey import answered

Command = tuple[EncodableT, ...]
MAX_TOGETHER = 512
"""Commands of one journey."""


class Journey:
    """Commands that go together, all of them or none."""

    def __init__(self) -> None:
        self.commands: list[Command] = []

    def join(self, commands: Sequence[Command]) -> slice | None:
        """Add commands and tell which answers are theirs; None where there is no room."""
        begin, end = len(self.commands), len(self.commands) + len(commands)
        if begin and end > MAX_TOGETHER:
            return None
        self.commands += commands
        return slice(begin, end)


class Writer:
    """Sends commands in the order in which they come; one journey, and so one write to disk, at a time."""

    def __init__(self, client: redis.Redis) -> None:
        """`client` comes from open_valkey."""
        self._client = client
        self._turn = asyncio.Lock()
        self._next: Journey | None = None
        self._last: asyncio.Task[list[Any]] | None = None

    async def write(self, *commands: Command) -> list[Any]:
        """Return the answers once everything is on disk; raise Unavailable where Valkey fails."""
        place = self._next.join(commands) if self._next is not None else None
        if place is None or self._last is None:
            self._next = Journey()
            place = self._next.join(commands) or slice(0)
            self._last = asyncio.create_task(self._travel(self._next))
        answers = await asyncio.shield(self._last)  # others wait for the same journey
        return answers[place]

    async def aclose(self) -> None:
        """Wait for what is under way."""
        if self._last is not None:
            await asyncio.gather(self._last, return_exceptions=True)

    async def _travel(self, journey: Journey) -> list[Any]:
        async with self._turn:
            if self._next is journey:
                self._next = None
            async with answered(), self._client.pipeline(transaction=True) as pipeline:
                for command in journey.commands:
                    pipeline.execute_command(*command)
                answers: list[Any] = await pipeline.execute()
        return answers

"""Delivers a session's reports to the bots function, in order and one at a time."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from vexa_events.callbacks import Attribution, StatusReport
from vexa_events.errors import Conflict

logger = logging.getLogger(__name__)
MAX_WAITING = 512


class Reports(Protocol):
    """Where reports go; each call keeps trying while that may help."""

    async def report_status(self, report: StatusReport) -> None:
        """Deliver a state."""

    async def attribute(self, attribution: Attribution) -> None:
        """Deliver a speaker's name."""


class Reporter:
    """A bounded queue with one sender, so that a slow bots function never holds up capture."""

    def __init__(self, reports: Reports) -> None:
        self._reports = reports
        self._waiting: asyncio.Queue[Callable[[], Awaitable[None]]] = asyncio.Queue(MAX_WAITING)

    async def status(self, report: StatusReport) -> None:
        """Line up a state."""
        await self._waiting.put(lambda: self._reports.report_status(report))

    async def attribution(self, attribution: Attribution) -> None:
        """Line up a speaker's name; the bots function must know the stream by then."""
        await self._waiting.put(lambda: self._reports.attribute(attribution))

    async def run(self) -> None:
        """Deliver what is lined up, for ever; a report that the session's state forbids is let go."""
        while True:
            deliver = await self._waiting.get()
            try:
                await deliver()
            except Conflict as exc:
                logger.warning("report came too late", extra={"cause": str(exc)})
            self._waiting.task_done()

    async def delivered(self) -> None:
        """Wait until nothing is left to deliver."""
        await self._waiting.join()

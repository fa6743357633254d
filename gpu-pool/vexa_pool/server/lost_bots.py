"""
Streams whose bot went away before the end of its audio.

A bot that lives comes back with a newer epoch and replays; then what was not
committed is dropped, since it may end in half a word. When nobody has come for
a while, what was heard is all there will ever be, so it is committed.
"""

import asyncio
import logging

from vexa_events.errors import VexaError
from vexa_pool.engine.scheduler import Scheduler
from vexa_pool.server.lane import StreamLane
from vexa_pool.server.publishing import Publication

logger = logging.getLogger(__name__)

MAX_WAITING = 1_000
"""Streams that wait at once; further ones are given up as they are."""


class LostBots:
    """Owns the streams that wait for their bot."""

    def __init__(self, scheduler: Scheduler, *, after_s: float) -> None:
        """`after_s` is how long a bot may take to come back; longer than it takes to notice and to reconnect."""
        self._scheduler = scheduler
        self._after_s = after_s
        self._waiting: set[asyncio.Task[None]] = set()

    def take_over(self, lane: StreamLane, publication: Publication) -> None:
        """See to the end of a stream that is scheduled and published; it stays so until then."""
        if lane.session.is_drained or publication.pending.is_fenced or len(self._waiting) >= MAX_WAITING:
            self._let_go(lane, publication)
            return
        task = asyncio.create_task(self._see_off(lane, publication))
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    async def aclose(self) -> None:
        """Wait for nobody any longer."""
        waiting = list(self._waiting)
        for task in waiting:
            task.cancel()
        if waiting:
            await asyncio.wait(waiting)

    async def _see_off(self, lane: StreamLane, publication: Publication) -> None:
        try:
            await self._wait(lane)
            publication.close()
            lane.finish()
            self._scheduler.wake()
            await lane.until(lambda: lane.session.is_drained)
            logger.info("stream of a lost bot committed", extra={"stream_uid": publication.stream_uid})
        except VexaError as fault:
            logger.info("stream let go", extra={"stream_uid": publication.stream_uid, "reason": str(fault)})
        finally:
            self._let_go(lane, publication)

    async def _wait(self, lane: StreamLane) -> None:
        """Return when time is up; raise the lane's fault, such as its fencing, before."""
        try:
            async with asyncio.timeout(self._after_s):
                await lane.until(lambda: False)
        except TimeoutError:
            return

    def _let_go(self, lane: StreamLane, publication: Publication) -> None:
        self._scheduler.remove(lane)
        publication.linger()

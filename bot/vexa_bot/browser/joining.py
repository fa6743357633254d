"""Tries to join, again and again where that may help, beside the loop that listens to the page."""

import asyncio
import logging

from vexa_bot.browser.site import Guest, Site
from vexa_bot.browser.snapshot import MeetingState
from vexa_bot.browser.steps import StepFailed
from vexa_bot.browser.visit import Visit

logger = logging.getLogger(__name__)
AGAIN_AFTER_S = 3.0
"""After a failed attempt, or while the meeting has not begun."""
STUCK_AFTER_S = 20.0
"""A page that shows nothing known for this long after the last click is loaded again."""
BROKEN_AFTER_S = 5.0
"""The same where parts of it failed to load."""


class Joining:
    """Owns the one task that clicks."""

    def __init__(self, visit: Visit, site: Site, guest: Guest) -> None:
        self.failure: StepFailed | None = None
        """What the last attempt failed of."""
        self._visit = visit
        self._site = site
        self._guest = guest
        self._task: asyncio.Task[None] | None = None
        self._ended_s: float | None = None

    def keep_going(self, state: MeetingState, *, now_s: float) -> None:
        """Begin an attempt where none runs and another one may help."""
        if self._task is None:
            self._begin()
        elif self._task.done():
            self._ended_s = now_s if self._ended_s is None else self._ended_s
            self._note_failure(self._task)
            if now_s - self._ended_s >= self._pause_s(state):
                logger.info("joining again", extra={"state": state.value})
                self._begin()

    @property
    def hindrance(self) -> StepFailed | None:
        """Tell what stands in the way: what failed, or a page that still loads."""
        loading = self._visit.steps.loading
        if self.failure is None and loading is not None:
            return StepFailed("page_unreachable", f"{loading} does not answer")
        return self.failure

    async def aclose(self) -> None:
        """Stop clicking."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    def _begin(self) -> None:
        self._visit.forget()
        self._ended_s = None
        self._task = asyncio.create_task(self._site.join(self._visit.steps, self._guest))

    def _note_failure(self, task: asyncio.Task[None]) -> None:
        failure = task.exception()
        if failure is not None and not isinstance(failure, StepFailed):
            raise failure
        if failure is not None and failure is not self.failure:
            logger.info("could not join", extra={"cause": str(failure)})
        self.failure = failure

    def _pause_s(self, state: MeetingState) -> float:
        if self.failure is not None or state is MeetingState.NOT_STARTED:
            return AGAIN_AFTER_S
        if state in {MeetingState.UNKNOWN, MeetingState.PREJOIN}:
            return BROKEN_AFTER_S if self._visit.failed_resources else STUCK_AFTER_S
        return float("inf")

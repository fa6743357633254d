"""Attends a meeting in a browser: the loop that all browser platforms share."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime

from vexa_bot.browser.chromium import Chromium
from vexa_bot.browser.contact import Contact
from vexa_bot.browser.ears import Ears
from vexa_bot.browser.inbox import Told
from vexa_bot.browser.joining import Joining
from vexa_bot.browser.site import Guest, Site
from vexa_bot.browser.snapshot import MeetingState, Snapshot, Verdict
from vexa_bot.browser.stay import Limits, Milestone, Stay
from vexa_bot.browser.steps import StepFailed
from vexa_bot.browser.visit import Visit, open_visit
from vexa_bot.capture import Admitted, AttendanceFailed, AwaitingAdmission, Fact
from vexa_bot.lifecycle import Ending
from vexa_events.errors import Unavailable
from vexa_events.identity import BotStatus

logger = logging.getLogger(__name__)
LOOK_EVERY_S = 0.5
STALLED_S = 2.0
"""A loop that did not come to look for this long has not heard yet what came in meanwhile."""
LEAVE_LIMIT_S = 6.0


class PageLost(Unavailable):
    """The page is gone or of no use any more; another one may be."""


class BrowserPlatform:
    """A meeting that people join with a browser."""

    def __init__(self, site: Site, guest: Guest, *, limits: Limits, chromium: Chromium) -> None:
        self._site = site
        self._guest = guest
        self._limits = limits
        self._chromium = chromium
        self._stay = Stay(limits)
        self._contact = Contact()
        self._ears: Ears | None = None
        self._ending: Ending | None = None
        self._last: Verdict | None = None
        self._rejoin_until_s: float | None = None
        """Set from the loss of the first page until the second one is in the meeting."""
        self._has_rejoined = False

    async def attend(self) -> AsyncGenerator[Fact, None]:
        """Join and yield facts until the meeting is over; a lost page is replaced once."""
        while self._ending is None:
            try:
                async with open_visit(self._chromium, self._site) as visit, aclosing(self._sit(visit)) as facts:
                    async for fact in facts:
                        yield fact
            except PageLost as exc:
                self._note_loss(exc)
        for fact in self.rest():
            yield fact
        if self._ending.status is BotStatus.FAILED:
            raise AttendanceFailed(self._ending.reason, self._ending.evidence or "")
        yield self._ending

    def rest(self) -> Iterator[Fact]:
        """Tell who was speaking at the end, and account for what a lost page never brought."""
        yield from self._ears.finish() if self._ears else ()

    async def _sit(self, visit: Visit) -> AsyncGenerator[Fact, None]:
        joining = Joining(visit, self._site, self._guest)
        looked_s = 0.0
        try:
            while self._ending is None:
                message = await visit.next_message(LOOK_EVERY_S)
                for fact in self._hear(message):
                    yield fact
                since_s = time.monotonic() - looked_s
                if since_s >= LOOK_EVERY_S:
                    looked_s += since_s
                    for fact in self._look(visit, joining, is_behind=since_s > STALLED_S or not visit.is_heard_out):
                        yield fact
            for message in visit.waiting_messages():
                for fact in self._hear(message):
                    yield fact
        finally:
            await joining.aclose()
            await self._leave(visit)

    def _hear(self, message: Told | None) -> Iterator[Fact]:
        if message is not None and self._ears is not None:
            yield from self._ears.hear(message)

    def _look(self, visit: Visit, joining: Joining, *, is_behind: bool) -> Iterator[Fact]:
        facts, snapshot, now_s = visit.facts(), visit.snapshot(), time.monotonic()
        verdict = self._judge(snapshot)
        if self._ears is not None:
            yield from self._ears.look(facts, snapshot, is_behind=is_behind)
        step = self._stay.look(
            verdict,
            others=snapshot.others(self._guest.name),
            is_loud=bool(self._ears and self._ears.is_loud),
            now_s=now_s,
        )
        if step is Milestone.AWAITING_ADMISSION:
            yield AwaitingAdmission()
        elif step is Milestone.ADMITTED:
            yield self._enter()
        elif isinstance(step, Ending):
            self._ending = _with_failure(step, joining.hindrance)
        self._check_page(visit, snapshot, verdict, now_s)
        if not self._is_inside:
            joining.keep_going(verdict.state, now_s=now_s)

    @property
    def _is_inside(self) -> bool:
        return self._stay.is_admitted and self._rejoin_until_s is None

    def _judge(self, snapshot: Snapshot) -> Verdict:
        verdict = self._site.probe(snapshot)
        if self._last is None or verdict.state is not self._last.state:
            logger.info("verdict", extra={"state": verdict.state.value, "evidence": verdict.evidence[:300]})
        self._last = verdict
        return verdict

    def _enter(self) -> Admitted:
        at = datetime.now(UTC)
        self._ears = Ears(self._site, zero_at=at)
        return Admitted(at=at)

    def _check_page(self, visit: Visit, snapshot: Snapshot, verdict: Verdict, now_s: float) -> None:
        if self._ending is not None:
            return
        if not self._stay.is_admitted:
            if visit.gone_because:
                raise PageLost(visit.gone_because)
            return
        if self._rejoin_until_s is not None and verdict.state is MeetingState.ADMITTED:
            logger.info("rejoined")
            self._rejoin_until_s = None
            if self._ears is not None:
                self._ears.note_rejoined()
        if self._rejoin_until_s is not None and now_s > self._rejoin_until_s:
            raise PageLost(f"could not rejoin within {self._limits.join_s:.0f} s: {verdict.evidence}")
        if why := visit.lost_because or (self._is_inside and self._contact.look(snapshot, verdict, now_s=now_s)):
            raise PageLost(why)

    def _note_loss(self, exc: PageLost) -> None:
        logger.error("page lost", extra={"cause": str(exc), "rejoining": not self._has_rejoined})
        self._stay.begin_again()
        self._contact = Contact()
        if not self._stay.is_admitted:
            return  # the limits of joining and waiting bound how often
        if self._ears is not None:
            self._ears.lose_page()
        if self._has_rejoined:
            self._ending = Ending(status=BotStatus.FAILED, reason="page_lost", evidence=str(exc))
        self._has_rejoined = True
        self._rejoin_until_s = time.monotonic() + self._limits.join_s

    async def _leave(self, visit: Visit) -> None:
        try:
            async with asyncio.timeout(LEAVE_LIMIT_S):
                await self._site.leave(visit.steps)
        except (StepFailed, TimeoutError):
            logger.info("left by closing the page")


def _with_failure(ending: Ending, failure: StepFailed | None) -> Ending:
    """Tell of a join that timed out what its last attempt failed of."""
    if failure is None or ending.reason != "join_timed_out":
        return ending
    return replace(ending, reason=failure.reason, evidence=failure.evidence)

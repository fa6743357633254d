"""
How long a bot stays in a meeting, decided from verdicts over time. No clock, no page: times come in, steps go out.
"""

import math
from dataclasses import dataclass
from enum import Enum, auto

from vexa_bot.browser.snapshot import MeetingState, Verdict
from vexa_bot.lifecycle import Ending
from vexa_events.identity import BotStatus

DEBOUNCE = 2
"""So many looks in a row must agree before the bot is out of a meeting."""
DOUBT_S = 20.0
"""So long must words of the end stand over a meeting that is still shown, with nobody heard, to be believed."""
TERMINAL = {
    MeetingState.DENIED: (BotStatus.FAILED, "denied"),
    MeetingState.BLOCKED: (BotStatus.FAILED, "blocked"),
    MeetingState.REMOVED: (BotStatus.COMPLETED, "removed"),
    MeetingState.ENDED: (BotStatus.COMPLETED, "meeting_ended"),
}
OUTSIDE = frozenset({MeetingState.WAITING, MeetingState.NOT_STARTED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long which state may last."""

    join_s: float
    waiting_room_s: float
    startup_alone_s: float
    everyone_left_s: float
    max_age_s: float


class Milestone(Enum):
    """What a look may bring for the first time."""

    AWAITING_ADMISSION = auto()
    ADMITTED = auto()


class Stay:
    """One bot's way through one meeting."""

    def __init__(self, limits: Limits) -> None:
        """All times are seconds of one monotonic clock; joining begins with the first look, when the browser runs."""
        self._limits = limits
        self._since_s = math.inf
        """When the bot began to be where it is: joining, waiting or alone."""
        self._admitted_s: float | None = None
        self._had_company = False
        self._is_away = False
        """From the loss of a page in the meeting until the next one is in it: nobody is seen or heard meanwhile."""
        self._outside_verdict: Verdict | None = None
        self._last: Verdict | None = None
        self._same = 0
        self._doubted_s: float | None = None
        """Since when the page shows words of the end over the meeting, and nobody was heard."""

    @property
    def is_admitted(self) -> bool:
        return self._admitted_s is not None

    def look(self, verdict: Verdict, *, others: int, is_loud: bool, now_s: float) -> Milestone | Ending | None:
        """Take in one verdict with how many others are there and whether anything is heard."""
        self._since_s = min(self._since_s, now_s)
        self._same = self._same + 1 if self._last and self._last.state is verdict.state else 1
        self._last = verdict
        is_doubted = self._is_doubted(verdict, is_loud=is_loud, now_s=now_s)
        if verdict.state in TERMINAL and not is_doubted:
            return self._terminal(verdict)
        if self._admitted_s is not None:
            self._is_away = self._is_away and verdict.state is not MeetingState.ADMITTED
            return self._inside(others=others, is_loud=is_loud, now_s=now_s)
        if verdict.state is MeetingState.ADMITTED:
            self._admitted_s = self._since_s = now_s
            return Milestone.ADMITTED
        return self._outside(verdict, now_s)

    def begin_again(self) -> None:
        """Note that another page takes over; nothing seen before counts any more."""
        self._last = None
        self._same = 0
        self._doubted_s = None
        self._is_away = self.is_admitted

    def _is_doubted(self, verdict: Verdict, *, is_loud: bool, now_s: float) -> bool:
        if not verdict.is_doubtful or verdict.state not in TERMINAL:
            self._doubted_s = None
            return False
        self._doubted_s = now_s if is_loud or self._doubted_s is None else self._doubted_s
        return now_s - self._doubted_s < DOUBT_S

    def _terminal(self, verdict: Verdict) -> Ending | None:
        if self._same < DEBOUNCE:
            return None
        status, reason = TERMINAL[verdict.state]
        if not self.is_admitted:
            status = BotStatus.FAILED
        return Ending(status=status, reason=verdict.reason or reason, evidence=verdict.evidence)

    def _outside(self, verdict: Verdict, now_s: float) -> Milestone | Ending | None:
        was_waiting = self._outside_verdict is not None
        if verdict.state in OUTSIDE:
            self._outside_verdict = verdict
            if not was_waiting:
                self._since_s = now_s
                return Milestone.AWAITING_ADMISSION
        if now_s - self._since_s < (self._limits.waiting_room_s if was_waiting else self._limits.join_s):
            return None
        return _given_up(self._outside_verdict or verdict, now_s - self._since_s)

    def _inside(self, *, others: int, is_loud: bool, now_s: float) -> Ending | None:
        if others or is_loud or self._is_away:
            self._since_s = now_s
            self._had_company = self._had_company or others > 0
        if now_s - (self._admitted_s or 0.0) >= self._limits.max_age_s:
            return _leave("max_time_reached", f"in the meeting for {self._limits.max_age_s:.0f} s")
        alone_s = now_s - self._since_s
        if self._had_company and alone_s >= self._limits.everyone_left_s:
            return _leave("left_alone", f"nobody else there and nothing heard for {alone_s:.0f} s")
        if not self._had_company and alone_s >= self._limits.startup_alone_s:
            return _leave("no_one_joined", f"nobody else came in {alone_s:.0f} s")
        return None


def _given_up(verdict: Verdict, waited_s: float) -> Ending:
    reasons = {MeetingState.WAITING: "not_admitted_in_time", MeetingState.NOT_STARTED: "not_started_in_time"}
    return Ending(
        status=BotStatus.FAILED,
        reason=verdict.reason or reasons.get(verdict.state, "join_timed_out"),
        evidence=f"after {waited_s:.0f} s: {verdict.evidence}",
    )


def _leave(reason: str, evidence: str) -> Ending:
    return Ending(status=BotStatus.COMPLETED, reason=reason, evidence=evidence)

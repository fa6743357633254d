"""Whether a page that is in the meeting still has a part in it, decided over time. No clock, no page."""

from vexa_bot.browser.snapshot import MeetingState, Snapshot, Verdict

CUT_OFF_LIMIT_S = 15.0


class Contact:
    """One page's hold on its meeting."""

    def __init__(self) -> None:
        self._broken_s: float | None = None
        """Since when, in seconds of one monotonic clock."""

    def look(self, snapshot: Snapshot, verdict: Verdict, *, now_s: float) -> str | None:
        """Tell why the page has lost the meeting; None while it has not, or not for long enough."""
        why = _break(snapshot, verdict)
        if why is None:
            self._broken_s = None
            return None
        self._broken_s = now_s if self._broken_s is None else self._broken_s
        return f"{why}, for {CUT_OFF_LIMIT_S:.0f} s" if now_s - self._broken_s > CUT_OFF_LIMIT_S else None


def _break(snapshot: Snapshot, verdict: Verdict) -> str | None:
    """A page that loads itself anew is back at the door, and whatever it had was closed."""
    if snapshot.is_cut_off:
        return "every peer connection has failed"
    if verdict.state is MeetingState.PREJOIN and not snapshot.connections:
        return f"the page is back where one joins: {verdict.evidence}"
    return None

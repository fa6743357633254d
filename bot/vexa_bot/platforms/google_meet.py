"""Google Meet as a guest. Its few audio tracks are shared by whoever speaks, so its sound is mixed."""

from vexa_bot.browser.page_messages import TrackFacts
from vexa_bot.browser.site import Guest, Lane
from vexa_bot.browser.snapshot import MeetingState, Snapshot, Verdict, nothing_known, seen
from vexa_bot.browser.steps import Steps
from vexa_bot.platforms import google_meet_selectors as selectors
from vexa_events.identity import StreamKind

STATES = (
    ("captcha", MeetingState.BLOCKED),
    ("sign_in", MeetingState.BLOCKED),
    ("removed", MeetingState.REMOVED),
    ("denied", MeetingState.DENIED),
    ("unanswered", MeetingState.DENIED),
    ("not_found", MeetingState.DENIED),
    ("ended", MeetingState.ENDED),
    ("waiting", MeetingState.WAITING),
    ("leave_button", MeetingState.ADMITTED),
    ("name_field", MeetingState.PREJOIN),
    ("join_button", MeetingState.PREJOIN),
)
"""By weight: the waiting room has a button to leave as well."""


class GoogleMeetSite:
    """One meeting on meet.google.com."""

    marks = selectors.MARKS
    lane = Lane(kind=StreamKind.MIXED)

    def __init__(self, native_meeting_id: str, *, meeting_url: str | None = None) -> None:
        self._url = meeting_url or f"https://meet.google.com/{native_meeting_id}"

    async def join(self, steps: Steps, guest: Guest) -> None:
        """Give a name, go without devices, and ask to join."""
        await steps.open(self._url)
        await steps.click_if_there(selectors.BUTTON, text=selectors.NO_DEVICES)
        await steps.fill(selectors.NAME, guest.name)
        await steps.click(selectors.BUTTON, text=selectors.JOIN)

    def probe(self, snapshot: Snapshot) -> Verdict:
        """Judge by what the page says."""
        return seen(snapshot, STATES) or nothing_known(snapshot)

    def owner(self, track: TrackFacts, tile_name: str | None, snapshot: Snapshot) -> str | None:
        """Nothing ties a shared track to one person."""
        return None

    def muted(self, snapshot: Snapshot) -> frozenset[str]:
        """Nobody: whoever is muted, the stream goes on with the voices of the others."""
        return frozenset()

    async def leave(self, steps: Steps) -> None:
        """Hang up; the same button withdraws from the waiting room."""
        await steps.click_if_there(selectors.LEAVE)

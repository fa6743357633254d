"""Zoom as a guest in its web client. Its sound comes mixed, and only where the client uses WebRTC for it."""

from dataclasses import replace
from urllib.parse import quote, urlsplit

from vexa_bot.browser.page_messages import TrackFacts
from vexa_bot.browser.site import Guest, Lane
from vexa_bot.browser.snapshot import MeetingState, Snapshot, Verdict, nothing_known, seen
from vexa_bot.browser.steps import Steps
from vexa_bot.platforms import zoom_selectors as selectors
from vexa_events.identity import StreamKind

STATES = (
    ("captcha", MeetingState.BLOCKED),
    ("sign_in", MeetingState.BLOCKED),
    ("removed", MeetingState.REMOVED),
    ("wrong_passcode", MeetingState.DENIED),
    ("not_found", MeetingState.DENIED),
    ("ended", MeetingState.ENDED),
    ("not_started", MeetingState.NOT_STARTED),
    ("waiting", MeetingState.WAITING),
    ("leave_button", MeetingState.ADMITTED),
    ("name_field", MeetingState.PREJOIN),
    ("join_button", MeetingState.PREJOIN),
)
REASONS = ("wrong_passcode",)


class ZoomSite:
    """One meeting of Zoom."""

    marks = selectors.MARKS
    lane = Lane(kind=StreamKind.MIXED)

    def __init__(self, native_meeting_id: str, *, meeting_url: str | None = None, passcode: str | None = None) -> None:
        self._url = web_client_url(native_meeting_id, meeting_url=meeting_url, passcode=passcode)

    async def join(self, steps: Steps, guest: Guest) -> None:
        """Agree to the terms, go without devices, give name and passcode, join, and turn the sound on."""
        await steps.open(self._url)
        await steps.click_if_there(selectors.AGREE)
        await steps.click_if_there(selectors.BUTTON, text=selectors.NO_DEVICES)
        await steps.fill(selectors.NAME, guest.name)
        if guest.passcode:
            await steps.fill_if_there(selectors.PASSCODE, guest.passcode)
        await steps.click(selectors.JOIN)
        await steps.click_if_there(selectors.BUTTON, text=selectors.HEAR)

    def probe(self, snapshot: Snapshot) -> Verdict:
        """Judge by what the page says."""
        verdict = seen(snapshot, STATES)
        if verdict is not None and snapshot.first_mark(*REASONS) and verdict.state is MeetingState.DENIED:
            return replace(verdict, reason=snapshot.first_mark(*REASONS))
        return verdict or nothing_known(snapshot)

    def owner(self, track: TrackFacts, tile_name: str | None, snapshot: Snapshot) -> str | None:
        """Nothing ties the mixed track to one person."""
        return None

    def muted(self, snapshot: Snapshot) -> frozenset[str]:
        """Nobody: whoever is muted, the stream goes on with the voices of the others."""
        return frozenset()

    async def leave(self, steps: Steps) -> None:
        """Leave, and confirm it where that is asked."""
        if await steps.click_if_there(selectors.LEAVE):
            await steps.click_if_there(selectors.BUTTON, text="leave meeting")


def web_client_url(native_meeting_id: str, *, meeting_url: str | None, passcode: str | None) -> str:
    """Find the web client of a meeting; only the hash in an address opens a meeting without its passcode."""
    parts = urlsplit(meeting_url) if meeting_url else None
    if parts is not None and "/wc/" in parts.path:
        return parts.geturl()
    host = parts.netloc if parts is not None and parts.netloc else "app.zoom.us"
    query = parts.query if parts is not None and parts.query else f"pwd={quote(passcode)}" if passcode else ""
    scheme = parts.scheme if parts is not None else "https"
    return f"{scheme}://{host}/wc/{native_meeting_id}/join" + (f"?{query}" if query else "")

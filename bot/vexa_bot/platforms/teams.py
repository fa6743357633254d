"""Microsoft Teams as a guest in the web client. Its sound comes as one mixed track."""

from dataclasses import replace
from urllib.parse import parse_qsl, urlencode, urlsplit

from vexa_bot.browser.page_messages import TrackFacts
from vexa_bot.browser.site import Guest, Lane
from vexa_bot.browser.snapshot import MeetingState, Snapshot, Verdict, nothing_known, seen
from vexa_bot.browser.steps import Steps
from vexa_bot.platforms import teams_selectors as selectors
from vexa_events.identity import StreamKind

STATES = (
    ("captcha", MeetingState.BLOCKED),
    ("sign_in", MeetingState.BLOCKED),
    ("removed", MeetingState.REMOVED),
    ("denied", MeetingState.DENIED),
    ("unanswered", MeetingState.DENIED),
    ("wrong_passcode", MeetingState.DENIED),
    ("ended", MeetingState.ENDED),
    ("waiting", MeetingState.WAITING),
    ("not_started", MeetingState.NOT_STARTED),
    ("hangup_button", MeetingState.ADMITTED),
    ("name_field", MeetingState.PREJOIN),
    ("in_browser", MeetingState.PREJOIN),
)


class TeamsSite:
    """One meeting of Teams."""

    marks = selectors.MARKS
    lane = Lane(kind=StreamKind.MIXED)

    def __init__(self, native_meeting_id: str, *, meeting_url: str | None = None, passcode: str | None = None) -> None:
        self._url = guest_url(meeting_url or f"https://teams.microsoft.com/meet/{native_meeting_id}", passcode)

    async def join(self, steps: Steps, guest: Guest) -> None:
        """Stay in the browser, go without devices, give a name, and join."""
        await steps.open(self._url)
        await steps.click_if_there(selectors.BUTTON, text=selectors.IN_BROWSER)
        await steps.click_if_there(selectors.BUTTON, text=selectors.NO_DEVICES)
        await steps.fill(selectors.NAME, guest.name)
        await steps.click(selectors.JOIN)

    def probe(self, snapshot: Snapshot) -> Verdict:
        """Judge by what the page says."""
        verdict = seen(snapshot, STATES)
        if verdict is not None and "wrong_passcode" in verdict.evidence:
            return replace(verdict, reason="wrong_passcode")
        return verdict or nothing_known(snapshot)

    def owner(self, track: TrackFacts, tile_name: str | None, snapshot: Snapshot) -> str | None:
        """Nothing ties the mixed track to one person."""
        return None

    def muted(self, snapshot: Snapshot) -> frozenset[str]:
        """Nobody: whoever is muted, the stream goes on with the voices of the others."""
        return frozenset()

    async def leave(self, steps: Steps) -> None:
        """Hang up, or cancel in the lobby."""
        await steps.click_if_there(selectors.LEAVE)


def guest_url(meeting_url: str, passcode: str | None) -> str:
    """Put the passcode into an address of the short kind that lacks it: the page asks for it nowhere else."""
    parts = urlsplit(meeting_url)
    query = dict(parse_qsl(parts.query))
    if passcode is None or "/meet/" not in parts.path or "p" in query:
        return meeting_url
    return parts._replace(query=urlencode(query | {"p": passcode})).geturl()

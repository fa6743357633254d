"""Jitsi Meet, the public one or one's own; one track a participant, bound by the id of its media stream."""

import json
from dataclasses import replace
from urllib.parse import quote, urlsplit

from vexa_bot.browser.page_messages import TrackFacts
from vexa_bot.browser.site import Guest, Lane
from vexa_bot.browser.snapshot import MeetingState, Snapshot, Verdict, nothing_known, seen
from vexa_bot.browser.steps import Steps
from vexa_bot.platforms import jitsi_selectors as selectors
from vexa_events.identity import StreamKind

STATES = (
    ("removed", MeetingState.REMOVED),
    ("denied", MeetingState.DENIED),
    ("wrong_passcode", MeetingState.DENIED),
    ("ended", MeetingState.ENDED),
    ("not_started", MeetingState.NOT_STARTED),
    ("sign_in", MeetingState.BLOCKED),
    ("passcode_field", MeetingState.PREJOIN),
    ("knock_button", MeetingState.PREJOIN),
    ("waiting", MeetingState.WAITING),
    ("join_button", MeetingState.PREJOIN),
    ("leave_button", MeetingState.ADMITTED),
)
PUBLIC = "meet.jit.si"
OPTIONS = ("config.startWithAudioMuted=true", "config.startWithVideoMuted=true", "config.startSilent=false")
"""Jitsi takes options in the address's fragment; the bot sends nothing."""
TILE_PREFIX = "participant_"


class JitsiSite:
    """One room of a Jitsi Meet."""

    marks = selectors.MARKS
    lane = Lane(kind=StreamKind.PARTICIPANT)

    def __init__(self, native_meeting_id: str, *, meeting_url: str | None = None) -> None:
        room, _, host = native_meeting_id.partition("@")
        base = meeting_url or f"https://{host or PUBLIC}/{quote(room)}"
        self._base = urlsplit(base)._replace(fragment="").geturl()

    async def join(self, steps: Steps, guest: Guest) -> None:
        """Give a name, knock where there is a lobby, and give the passcode where one is asked for."""
        name = f"userInfo.displayName={quote(json.dumps(guest.name))}"
        await steps.open(f"{self._base}#{'&'.join((*OPTIONS, name))}")
        if await steps.fill_if_there(selectors.NAME, guest.name):
            await steps.click(selectors.JOIN)
        if guest.passcode and await steps.fill_if_there(selectors.PASSCODE, guest.passcode):
            await steps.click(selectors.ENTER_PASSCODE)
        await steps.click_if_there(selectors.KNOCK)

    def probe(self, snapshot: Snapshot) -> Verdict:
        """Judge by what the page says."""
        verdict = seen(snapshot, STATES) or nothing_known(snapshot)
        if verdict.state is MeetingState.DENIED and "wrong_passcode" in snapshot.marks:
            return replace(verdict, reason="wrong_passcode")
        return verdict

    def owner(self, track: TrackFacts, tile_name: str | None, snapshot: Snapshot) -> str | None:
        """A track's stream is named `<endpoint>-audio-…`, a participant's tile `participant_<endpoint>`."""
        endpoint = track.label.partition("-audio-")[0]
        owners = (person.name for person in snapshot.people if person.id == f"{TILE_PREFIX}{endpoint}")
        return next(owners, tile_name)

    def muted(self, snapshot: Snapshot) -> frozenset[str]:
        """Those whose tile has the icon."""
        return snapshot.muted_names

    async def leave(self, steps: Steps) -> None:
        """Hang up, or leave the lobby."""
        await steps.click_if_there(selectors.LEAVE)

"""Self-hosted Janus video rooms, joined with the page that comes with Janus; one track a participant."""

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from vexa_bot.browser.page_messages import TrackFacts
from vexa_bot.browser.site import Guest, Lane
from vexa_bot.browser.snapshot import MeetingState, Snapshot, Verdict, nothing_known
from vexa_bot.browser.steps import Steps
from vexa_bot.capture import AttendanceFailed
from vexa_bot.platforms import janus_selectors as selectors
from vexa_events.identity import StreamKind

PAGE = "videoroomtest.html"
NO_SUCH_ROOM = 426
MISSING_ELEMENT = 429
UNAUTHORIZED = 433


class JanusSite:
    """One room of one Janus."""

    marks = selectors.MARKS
    lane = Lane(kind=StreamKind.PARTICIPANT, signal_words=selectors.SIGNAL_WORDS)

    def __init__(self, url: str) -> None:
        """`url` is the page with its room, as room_url builds it."""
        self._url = url

    async def join(self, steps: Steps, guest: Guest) -> None:
        """Enter as a listener: the page neither asks for a microphone nor sends anything."""
        await steps.open(self._url)
        await steps.click(selectors.START)
        await steps.fill(selectors.NAME, re.sub(r"[^A-Za-z0-9]", "", guest.name) or "Vexa")
        await steps.click(selectors.JOIN)

    def probe(self, snapshot: Snapshot) -> Verdict:
        """
        Judge by the last word of the signalling, then by the page.

        A kick shows in the signalling only: media keeps flowing to a listener.
        """
        for signal in reversed(snapshot.signals):
            for data in _events(signal):
                if verdict := _of_event(data):
                    return verdict
        if "dialog" in snapshot.marks:
            return _of_dialog(snapshot.marks["dialog"])
        if "room" in snapshot.marks:
            return Verdict(state=MeetingState.ADMITTED, evidence="the page shows the room")
        if mark := snapshot.first_mark("name_field", "start"):
            return Verdict(state=MeetingState.PREJOIN, evidence=f"the page shows {mark}")
        return nothing_known(snapshot)

    def owner(self, track: TrackFacts, tile_name: str | None, snapshot: Snapshot) -> str | None:
        """The panel that plays a track bears its publisher's name."""
        return tile_name

    def muted(self, snapshot: Snapshot) -> frozenset[str]:
        """Those whom a moderator muted; whoever mutes themselves sends silence like that of a quiet room."""
        voices = _Voices()
        for signal in snapshot.signals:
            for data in _events(signal):
                voices.take(data)
        return voices.muted

    async def leave(self, steps: Steps) -> None:
        """Press Stop, which ends the session with Janus."""
        await steps.click_if_there(selectors.START)


class _Voices:
    """Who publishes sound in a room, and whose a moderator muted."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        """By the publisher's id."""
        self._audio: set[tuple[str, str]] = set()
        """Ids of publishers, each with the place of its sound among their streams."""
        self._muted: set[str] = set()

    def take(self, data: dict[str, Any]) -> None:
        """Take in one event."""
        for publisher in _dicts(data.get("publishers")):
            id_, streams = str(publisher.get("id")), _dicts(publisher.get("streams"))
            self._names[id_] = str(publisher.get("display"))
            self._audio |= {(id_, str(each.get("mid"))) for each in streams if each.get("type") == "audio"}
        self._names.pop(str(data.get("leaving") or data.get("unpublished")), None)
        id_ = str(data.get("id"))
        if "moderation" in data and (id_, str(data.get("mid"))) in self._audio:
            self._muted.discard(id_)
            self._muted |= {id_} if data["moderation"] == "muted" else set()

    @property
    def muted(self) -> frozenset[str]:
        """The names whose bearers are all muted."""
        return frozenset(name for id_, name in self._names.items() if id_ in self._muted) - {
            name for id_, name in self._names.items() if id_ not in self._muted
        }


def room_url(native_meeting_id: str, *, meeting_url: str | None, page_url: str | None) -> str:
    """Find the page of a room: the given address, else the configured page; raise AttendanceFailed without either."""
    base = meeting_url or page_url
    if base is None:
        raise AttendanceFailed("janus_not_configured", "neither a meeting_url nor JANUS_PAGE_URL says where Janus is")
    parts = urlsplit(base)
    query = dict(parse_qsl(parts.query))
    query.setdefault("room", native_meeting_id.partition("@")[0])
    path = parts.path if parts.path.endswith(".html") else f"{parts.path.rstrip('/')}/{PAGE}"
    return urlunsplit(parts._replace(path=path, query=urlencode(query | {"subscriber-mode": "yes"})))


def _events(signal: str) -> Iterator[dict[str, Any]]:
    try:
        frame = json.loads(signal)
    except ValueError:
        return
    for each in frame if isinstance(frame, list) else [frame]:
        if isinstance(each, dict):
            plugin = each.get("plugindata")
            data = plugin.get("data") if isinstance(plugin, dict) else None
            yield data if isinstance(data, dict) else each


def _dicts(found: object) -> Iterator[dict[str, Any]]:
    yield from (each for each in found if isinstance(each, dict)) if isinstance(found, list) else ()


def _of_event(data: dict[str, Any]) -> Verdict | None:
    evidence = f"Janus says {json.dumps(data)[:500]}"
    if data.get("videoroom") == "destroyed":
        return Verdict(state=MeetingState.ENDED, evidence=evidence)
    if data.get("leaving") == "ok" and data.get("reason") == "kicked":
        return Verdict(state=MeetingState.REMOVED, evidence=evidence)
    if data.get("error_code") == NO_SUCH_ROOM:
        return Verdict(state=MeetingState.NOT_STARTED, evidence=evidence, reason="room_not_found")
    # The page sends no pin, and Janus tells that one is missing in other words than that it is wrong.
    is_pin_missing = data.get("error_code") == MISSING_ELEMENT and "pin" in str(data.get("error"))
    if is_pin_missing or data.get("error_code") == UNAUTHORIZED:
        return Verdict(state=MeetingState.DENIED, evidence=evidence, reason="wrong_passcode")
    if data.get("videoroom") == "joined":
        return Verdict(state=MeetingState.ADMITTED, evidence="Janus says that the bot joined")
    return None


def _of_dialog(text: str) -> Verdict:
    evidence = f"the page says {text!r}"
    if re.search(r"room .*destroyed", text, re.IGNORECASE):
        return Verdict(state=MeetingState.ENDED, evidence=evidence)
    if re.search(r"does not exist", text, re.IGNORECASE):
        return Verdict(state=MeetingState.NOT_STARTED, evidence=evidence, reason="room_not_found")
    return Verdict(state=MeetingState.UNKNOWN, evidence=evidence)

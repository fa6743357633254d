"""
From the address that people paste to the meeting it means.

Pure: text in, a link out. Nothing is looked up, so a link that only a
platform's own server could resolve is refused with the form to use instead.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qs, unquote, urlencode, urlsplit

from vexa_events.errors import InvalidMessage

MAX_WRAPPERS = 3
"""How many redirecting links may lie around the address."""
MAX_ADDRESSES = 20
"""How many addresses of a pasted invitation are looked at."""
_FOUND = re.compile(r"(?:https?://|(?:msteams|zoommtg|zoomus|replay):)[^\s<>\"'\u201c\u201d]+", re.IGNORECASE)
_BARE = re.compile(r"[a-z0-9][a-z0-9.-]*\.[a-z]{2,}(?::\d+)?/[^\s<>\"'\u201c\u201d]+", re.IGNORECASE)
_WRAPPERS = {"google.com": "q", "safelinks.protection.outlook.com": "url", "urldefense.com": "u"}
_TRAILING = ".,;:!)]}>"


@dataclass(frozen=True, slots=True, kw_only=True)
class MeetingLink:
    """What an address says of a meeting."""

    platform: str
    native_meeting_id: str
    url: str
    """The address itself, without what surrounded it."""
    passcode: str | None = None


def read_meeting_url(text: str, *, self_hosted: Mapping[str, str]) -> MeetingLink:
    """
    Find the first meeting in what somebody pasted; raise InvalidMessage when there is none.

    `self_hosted` names the platform of hosts that are our own.
    """
    faults: list[InvalidMessage] = []
    for url in _addresses(text)[:MAX_ADDRESSES]:
        try:
            return _read(url, self_hosted)
        except InvalidMessage as exc:
            faults.append(exc)
    raise faults[0] if faults else InvalidMessage("meeting_url: holds no address")


def check_host(platform: str, native_meeting_id: str, *, self_hosted: Mapping[str, str]) -> None:
    """Raise InvalidMessage where an id names a server that an address of this platform could not name."""
    _, at, netloc = native_meeting_id.partition("@")
    if not at:
        return
    parts = _split(f"https://{netloc}")
    reader = _reader_of_host(parts.hostname or "", _netloc(parts), self_hosted)
    if reader is None or reader is not _READER_BY_PLATFORM.get(platform):
        raise InvalidMessage(f"native_meeting_id: {netloc[:100]!r} is no server of {platform} that is known here")


def _addresses(text: str) -> list[str]:
    found = _FOUND.findall(text) or [f"https://{bare}" for bare in _BARE.findall(text)]
    return [url.rstrip(_TRAILING) for url in found]


def _read(url: str, self_hosted: Mapping[str, str]) -> MeetingLink:
    parts = _split(url)
    for _ in range(MAX_WRAPPERS):
        inner = _unwrapped(parts)
        if inner is None:
            break
        parts = _split(inner)
    scheme, host = parts.scheme.lower(), (parts.hostname or "").rstrip(".")
    reader = _READER_BY_SCHEME.get(scheme)
    if reader is None and scheme in {"http", "https"}:
        reader = _reader_of_host(host, _netloc(parts), self_hosted)
    if reader is None:
        raise InvalidMessage(f"meeting_url: {(host or scheme)[:100]!r} is no meeting platform that is known here")
    return reader(parts)


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - reading it checks it
    except ValueError as exc:
        raise InvalidMessage(f"meeting_url: {exc}") from exc
    if parts.username is not None or parts.password is not None:
        raise InvalidMessage("meeting_url: must not carry a user or a password before its host")
    return parts


def _unwrapped(parts: SplitResult) -> str | None:
    """Return the address inside a redirecting link."""
    host = (parts.hostname or "").lower()
    name = next((name for owner, name in _WRAPPERS.items() if _is_of(host, owner)), None)
    inner = name and _query(parts, name)
    return inner if inner and "://" in inner else None


def _reader_of_host(
    host: str, netloc: str, self_hosted: Mapping[str, str]
) -> Callable[[SplitResult], MeetingLink] | None:
    own = self_hosted.get(netloc) or self_hosted.get(host)
    if own is not None:
        return _READER_BY_PLATFORM.get(own)
    return next((reader for owner, reader in _READER_BY_HOST.items() if _is_of(host, owner)), None)


def _google_meet(parts: SplitResult) -> MeetingLink:
    for step in reversed(_steps(parts)):
        code = step.lower().replace("-", "")
        if re.fullmatch(r"[a-z]{10}", code):
            return _link("google_meet", f"{code[:3]}-{code[3:7]}-{code[7:]}", parts)
    raise InvalidMessage("meeting_url: a Google Meet address ends in a code such as abc-defg-hij")


def _teams(parts: SplitResult) -> MeetingLink:
    """
    Read both kinds of Teams links.

    The short kind carries the meeting's number and passcode. The long kind
    carries a thread instead, of which a hash serves as id: a bot joins by the
    address itself.
    """
    if parts.scheme.lower() == "msteams":
        parts = parts._replace(scheme="https", netloc="teams.microsoft.com")
    inner = _query(parts, "url")
    whole = unquote(inner) if inner else unquote(f"{parts.path}#{parts.fragment}")
    number = re.search(r"/meet/(\d{10,15})(?!\d)", whole)
    if number is not None:
        passcode = _query(parts, "p") or _inner_passcode(whole)
        return _link("teams", number[1], parts, passcode=passcode)
    thread = re.search(r"(19:[^/@\s]+@thread\.(?:v2|tacv2|skype))", unquote(whole), re.IGNORECASE)
    if thread is None:
        raise InvalidMessage("meeting_url: a Teams address has /meet/<number>?p=<passcode> or /l/meetup-join/<thread>")
    return _link("teams", hashlib.sha256(thread[1].encode()).hexdigest()[:16], parts)


def _inner_passcode(whole: str) -> str | None:
    found = re.search(r"[?&]p=([A-Za-z0-9]+)", whole)
    return found and found[1]


def _zoom(parts: SplitResult) -> MeetingLink:
    number = re.search(r"/(?:j|s|w|wc|wc/join|join)/(\d{9,11})(?:/|$)", parts.path)
    meeting_id = number[1] if number else _query(parts, "confno")
    if meeting_id is None or not re.fullmatch(r"\d{9,11}", meeting_id):
        raise InvalidMessage("meeting_url: a Zoom address has the meeting's number, as in /j/1234567890?pwd=…")
    passcode = _query(parts, "pwd")
    if parts.scheme.lower() not in {"http", "https"}:
        query = urlencode({"pwd": passcode}) if passcode else ""
        parts = SplitResult("https", "zoom.us", f"/j/{meeting_id}", query, "")
    return _link("zoom", meeting_id, parts, passcode=passcode)


def _jitsi(parts: SplitResult) -> MeetingLink:
    """Name the room; on another server than the public one, with the host behind it."""
    steps = _steps(parts)
    if not steps or any("@" in step for step in steps):
        raise InvalidMessage("meeting_url: a Jitsi address ends in the name of its room")
    is_public = _netloc(parts) == "meet.jit.si"
    room = ".".join(steps)
    return _link("jitsi", room if is_public else f"{room}@{_netloc(parts)}", parts._replace(fragment=""))


def _janus(parts: SplitResult) -> MeetingLink:
    room = _query(parts, "room")
    if room is None or not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", room):
        raise InvalidMessage("meeting_url: a Janus address names its room, as in ?room=1234")
    return _link("janus", f"{room}@{_netloc(parts)}", parts)


def _replay(parts: SplitResult) -> MeetingLink:
    return _link("replay", (parts.netloc + parts.path).strip("/"), parts)


def _link(platform: str, native_meeting_id: str, parts: SplitResult, passcode: str | None = None) -> MeetingLink:
    return MeetingLink(
        platform=platform, native_meeting_id=native_meeting_id, url=parts.geturl(), passcode=passcode or None
    )


def _steps(parts: SplitResult) -> list[str]:
    return [unquote(step) for step in parts.path.split("/") if step]


def _netloc(parts: SplitResult) -> str:
    return parts.netloc.lower().rstrip(".")


def _query(parts: SplitResult, name: str) -> str | None:
    try:
        values = parse_qs(parts.query, max_num_fields=100).get(name)
    except ValueError as exc:
        raise InvalidMessage(f"meeting_url: {exc}") from exc
    return values[0].strip() if values else None


def _is_of(host: str, owner: str) -> bool:
    return host == owner or host.endswith("." + owner)


_READER_BY_HOST: Mapping[str, Callable[[SplitResult], MeetingLink]] = {
    "meet.google.com": _google_meet,
    "teams.microsoft.com": _teams,
    "teams.live.com": _teams,
    "teams.microsoft.us": _teams,
    "teams.cloud.microsoft": _teams,
    "zoom.us": _zoom,
    "zoom.com": _zoom,
    "zoomgov.com": _zoom,
    "meet.jit.si": _jitsi,
    "8x8.vc": _jitsi,
}
_READER_BY_PLATFORM: Mapping[str, Callable[[SplitResult], MeetingLink]] = {"jitsi": _jitsi, "janus": _janus}
"""Of the platforms that people host themselves."""
_READER_BY_SCHEME: Mapping[str, Callable[[SplitResult], MeetingLink]] = {
    "msteams": _teams,
    "replay": _replay,
    "zoommtg": _zoom,
    "zoomus": _zoom,
}

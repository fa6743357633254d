"""Which meetings a bot can be sent to, and how their ids and passcodes look."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from vexa_events.errors import InvalidMessage

REPLAY = "replay"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a platform's ids and passcodes look like."""

    id: re.Pattern[str]
    id_in_words: str
    passcode: re.Pattern[str] | None = None
    """None where a meeting has no passcode."""
    needs_passcode: bool = False
    needs_url: bool = False
    """The id alone leads nowhere, unless the settings name a server of our own."""


ROOM = re.compile(r"[^\s/?#@\x00-\x1f\x7f]{1,128}(@[A-Za-z0-9][A-Za-z0-9.-]{0,100}(:\d{1,5})?)?")
RULES: Mapping[str, Rules] = {
    "google_meet": Rules(id=re.compile(r"[a-z]{3}-[a-z]{4}-[a-z]{3}"), id_in_words="a code such as abc-defg-hij"),
    "teams": Rules(
        id=re.compile(r"[0-9]{10,15}"),
        id_in_words="a number of 10 to 15 digits",
        passcode=re.compile(r"[A-Za-z0-9]{8,20}"),
        needs_passcode=True,
    ),
    "zoom": Rules(
        id=re.compile(r"[0-9]{9,11}"),
        id_in_words="a number of 9 to 11 digits",
        passcode=re.compile(r"[\x21-\x7e]{1,64}"),
    ),
    "jitsi": Rules(id=ROOM, id_in_words="the name of a room", passcode=re.compile(r"[^\x00-\x1f\x7f]{1,64}")),
    "janus": Rules(
        id=ROOM, id_in_words="a room and its server", passcode=re.compile(r"[\x21-\x7e]{1,64}"), needs_url=True
    ),
    REPLAY: Rules(
        id=re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}"),
        id_in_words="the name of a recording: up to 64 letters, digits, - and _, the first a letter or digit",
    ),
}
TEAMS_THREAD = re.compile(r"[0-9a-f]{16}")
"""How the meetings of long Teams links are named; they are joined by the link, without a passcode."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedMeeting:
    """Where a bot is to go."""

    platform: str
    native_meeting_id: str
    url: str | None = None
    passcode: str | None = None


def check_meeting(wanted: WantedMeeting, *, offered: Collection[str], at_home: Collection[str] = ()) -> None:
    """
    Raise InvalidMessage, naming the field, when no bot here can attend such a meeting.

    `at_home` are the platforms on whose server of our own an id without a host is found.
    """
    if wanted.platform not in offered:
        raise InvalidMessage(
            f"platform: {wanted.platform[:50]!r} is not offered here; offered: {', '.join(sorted(offered)) or 'none'}"
        )
    rules = RULES[wanted.platform]
    is_thread = (
        wanted.platform == "teams" and wanted.url is not None and TEAMS_THREAD.fullmatch(wanted.native_meeting_id)
    )
    if is_thread:
        return
    if not rules.id.fullmatch(wanted.native_meeting_id):
        raise InvalidMessage(
            f"native_meeting_id: {wanted.native_meeting_id[:50]!r} is no id of {wanted.platform}, "
            f"which is {rules.id_in_words}"
        )
    is_at_home = wanted.platform in at_home and "@" not in wanted.native_meeting_id
    if rules.needs_url and wanted.url is None and not is_at_home:
        raise InvalidMessage(f"meeting_url: is needed for {wanted.platform}")
    _check_passcode(wanted, rules)


def _check_passcode(wanted: WantedMeeting, rules: Rules) -> None:
    if wanted.passcode is None:
        if rules.needs_passcode:
            raise InvalidMessage(f"passcode: is needed for {wanted.platform}")
        return
    if rules.passcode is None:
        raise InvalidMessage(f"passcode: a meeting of {wanted.platform} has none")
    if not rules.passcode.fullmatch(wanted.passcode):
        raise InvalidMessage(f"passcode: is not as those of {wanted.platform} are ({rules.passcode.pattern})")

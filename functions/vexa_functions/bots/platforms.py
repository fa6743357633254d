"""Which meetings a bot can be sent to, and how their ids look."""

import re
from collections.abc import Collection, Mapping

from vexa_events.errors import InvalidMessage

REPLAY = "replay"
ID_BY_PLATFORM: Mapping[str, re.Pattern[str]] = {REPLAY: re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")}


def check_meeting(platform: str, native_meeting_id: str, *, offered: Collection[str]) -> None:
    """Raise InvalidMessage when no bot here can attend such a meeting."""
    if platform not in offered:
        raise InvalidMessage(
            f"platform: {platform!r} is not offered here; offered: {', '.join(sorted(offered)) or 'none'}"
        )
    if not ID_BY_PLATFORM[platform].fullmatch(native_meeting_id):
        raise InvalidMessage(f"native_meeting_id: {native_meeting_id!r} is not an id of {platform}")

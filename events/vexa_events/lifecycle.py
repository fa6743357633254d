"""Facts about bots, speakers and meetings: what the bots function and the collector publish."""

from typing import Annotated, Self

from pydantic import AwareDatetime, Field, model_validator

from vexa_events.fields import Count, Evidence, Message, Name, RowId, Seconds, Uid
from vexa_events.identity import BotStatus

MAX_HINT_S = 30.0
"""Whoever speaks longer is told in several hints, so that readers find those of a moment without reading all."""
MAX_HINTS = 32
"""Of the longest names there are, as many fit an event."""


class BotStatusChanged(Message):
    """A session entered a state."""

    meeting_id: RowId
    user_id: RowId
    session_uid: Uid
    platform: Name
    native_meeting_id: Name
    status: BotStatus
    sequence: Count
    """Rises by one with each state of a session."""
    reason: Name | None = None
    """A short code, such as left_alone or bot_lost."""
    evidence: Evidence | None = None
    at: AwareDatetime


class StreamAttributed(Message):
    """A stream's speaker became known, or better known."""

    meeting_id: RowId
    user_id: RowId
    session_uid: Uid
    stream_uid: Uid
    speaker: Name
    revision: Count
    """The higher one wins."""
    evidence: Evidence


class SpeakerHint(Message):
    """For an interval of the session clock, somebody was shown as speaking; others may have been as well."""

    seq: Count
    """Names the hint within its session; given once."""
    from_s: Seconds
    until_s: Seconds
    speaker: Name

    @model_validator(mode="after")
    def _is_short(self) -> Self:
        if not 0.0 < self.until_s - self.from_s <= MAX_HINT_S:
            raise ValueError(f"hint from {self.from_s} s until {self.until_s} s is empty or longer than {MAX_HINT_S} s")
        return self


Hints = Annotated[tuple[SpeakerHint, ...], Field(min_length=1, max_length=MAX_HINTS)]


class SpeakerHinted(Message):
    """Who was shown as speaking, and when; readers join it with the words of the session's mixed streams."""

    meeting_id: RowId
    user_id: RowId
    session_uid: Uid
    evidence: Name
    """What showed it."""
    hints: Hints


class MeetingFinalized(Message):
    """Every stream of an ended session is stored, or will not be."""

    meeting_id: RowId
    user_id: RowId
    session_uid: Uid
    platform: Name
    native_meeting_id: Name
    status: BotStatus
    segments: Count
    captured_s: Seconds
    missing_s: Seconds
    at: AwareDatetime

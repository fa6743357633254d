"""Facts about bots, speakers and meetings: what the bots function and the collector publish."""

from pydantic import AwareDatetime

from vexa_events.fields import Count, Evidence, Message, Name, RowId, Seconds, Uid
from vexa_events.identity import BotStatus


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

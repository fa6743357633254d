"""One bot's attendance of one of the meetings, and what was done to it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from vexa_local.chaos.recordings import Recording


@dataclass(frozen=True, slots=True, kw_only=True)
class Meeting:
    """One of the meetings that are held at the same time."""

    name: str
    recording: Recording


@dataclass(slots=True, kw_only=True)
class Attendance:
    """What the harness knows of it that the stack does not."""

    meeting: Meeting
    meeting_id: int
    session_uid: str
    begun_s: float
    """When the bot was sent, on the running loop's clock."""
    is_told_to_leave: bool = False
    captured_before: Mapping[str, float] = field(default_factory=dict)
    """How far each speaker was known to be captured before that."""
    killed_at_s: float | None = None
    """After the meetings began, as faults are timed."""
    is_followed: bool = False
    """Whether another bot was sent to the same meeting since: its name then means the other one."""
    is_deleted: bool = False

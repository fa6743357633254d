"""Identifiers and closed sets that every room shares; no behaviour."""

from enum import StrEnum
from typing import NewType

UserId = NewType("UserId", int)
MeetingId = NewType("MeetingId", int)
SessionUid = NewType("SessionUid", str)
StreamUid = NewType("StreamUid", str)
SegmentId = NewType("SegmentId", str)


class BotStatus(StrEnum):
    """States of a session, in the order in which they can follow one another."""

    REQUESTED = "requested"
    JOINING = "joining"
    AWAITING_ADMISSION = "awaiting_admission"
    ACTIVE = "active"
    STOPPING = "stopping"
    COMPLETED = "completed"
    FAILED = "failed"

    @property
    def is_terminal(self) -> bool:
        return self in {BotStatus.COMPLETED, BotStatus.FAILED}


class StreamKind(StrEnum):
    """Whose audio a stream carries."""

    PARTICIPANT = "participant"
    MIXED = "mixed"


class Task(StrEnum):
    """What the model does with the speech."""

    TRANSCRIBE = "transcribe"
    TRANSLATE = "translate"


class MissingReason(StrEnum):
    """Why a span of audio has no text."""

    OVERLOAD = "overload"
    BOT_BUFFER_FULL = "bot_buffer_full"
    CAPTURE_SILENT = "capture_silent"
    PAGE_LOST = "page_lost"
    BOT_LOST = "bot_lost"
    NOT_STORED = "not_stored"
    """The bot gave up waiting for a worker that takes it, or for the database."""
    MUTED = "muted"
    """The participant is shown as muted and no sound came. Nothing was to be heard, so ledgers count it apart."""
    UNKNOWN = "unknown"


def segment_id(stream_uid: str, epoch: int, seq: int, *, word: int = 0) -> SegmentId:
    """
    Build the public, stable id of a segment.

    Where several people share a segment, each one's part is named by its first
    word; the first part has the id of the whole.
    """
    whole = f"{stream_uid}-{epoch}-{seq}"
    return SegmentId(f"{whole}.{word}" if word else whole)

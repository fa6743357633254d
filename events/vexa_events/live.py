"""
The live feed: what readers see before and as text is stored.

One Valkey stream per meeting, `live:{meeting_id}`, bounded and expiring; an
entry has one field, `message`. It is a view for watching: nothing in it is
the only copy of anything but a hypothesis, which the next one replaces.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, Field

from vexa_events.fields import Count, Epoch, Language, Message, Name, RowId, Seconds, SegmentUid, Text, Uid
from vexa_events.identity import BotStatus, Task

FIELD = "message"
MAX_ENTRIES = 2_000
"""Entries kept per meeting; older ones are trimmed."""
LIFETIME_S = 24 * 3600


class LiveKind(StrEnum):
    """What an entry is about."""

    MUTABLE = "transcript.mutable"
    FINALIZED = "transcript.finalized"
    STATUS = "meeting.status"


class LiveSegment(Message):
    """One segment as a reader sees it; `segment_id` is the one it has or will have when stored."""

    segment_id: SegmentUid
    stream_uid: Uid
    start_s: Seconds
    end_s: Seconds
    text: Text
    language: Language | None = None
    speaker: Name | None = None
    revision: Count = 0
    mixed: bool = False
    """Whether several people share the stream: the speaker is then this segment's own."""
    completed: bool


class LiveMessage(Message):
    """One entry of a meeting's feed."""

    kind: LiveKind
    meeting_id: RowId
    session_uid: Uid
    at: AwareDatetime
    stream_uid: Uid | None = None
    """Set for transcripts: a later mutable entry of the same stream replaces the earlier one."""
    segments: Annotated[tuple[LiveSegment, ...], Field(max_length=200)] = ()
    status: BotStatus | None = None


class StoredMark(Message):
    """What `stored:{stream_uid}` holds: everything up to `until_s` is in the database."""

    epoch: Epoch
    until_s: Seconds


WORKER_LIFETIME_S = 5
"""A worker is gone when it has not written its key for this long; it writes every second."""
WORKER_PREFIX = "worker:"


class WorkerSlots(Message):
    """What `worker:{id}` holds: how full a worker of the pool is."""

    slots: Count
    """How many streams it can carry."""
    streams: Count
    """How many it carries now."""
    url: Text
    """Where it is reached, for people who look."""
    languages: Annotated[tuple[Language, ...], Field(max_length=200)] | None = None
    """What its model hears; None stands for anything."""
    tasks: Annotated[tuple[Task, ...], Field(max_length=16)] | None = None
    """What its model does; None stands for anything."""


def worker_key(worker_id: str) -> str:
    """Name the key by which a worker says that it is alive; it expires after WORKER_LIFETIME_S."""
    return f"{WORKER_PREFIX}{worker_id}"


def feed_key(meeting_id: int) -> str:
    """Name the Valkey stream of a meeting."""
    return f"live:{meeting_id}"


def stored_key(stream_uid: str) -> str:
    """Name the Valkey key that acknowledges a stream."""
    return f"stored:{stream_uid}"

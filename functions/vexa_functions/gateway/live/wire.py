"""How the live feed is spelled for watchers."""

import json
from collections.abc import Iterable
from datetime import datetime
from functools import cached_property
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from vexa_events.fields import Name
from vexa_events.identity import BotStatus
from vexa_events.live import LiveKind, LiveMessage, LiveSegment
from vexa_functions.store.transcripts import StoredSegment

POSITION = r"^\d{1,18}-\d{1,18}$"
FROM_THE_START = "0-0"
"""The position before everything: a watcher that names it is sent what is stored."""
MAX_SUBSCRIPTIONS = 50

Json = dict[str, Any]


class MeetingRef(BaseModel):
    """A meeting as watchers name it."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    platform: Name
    native_id: Name
    since: str | None = Field(None, pattern=POSITION)
    """Id of the last message seen of this meeting; the feed goes on behind it."""

    def spell(self, meeting_id: int) -> Json:
        """Name the meeting in a message."""
        return {"platform": self.platform, "native_id": self.native_id, "id": meeting_id}


class Subscription(BaseModel):
    """`subscribe` and `unsubscribe`."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    meetings: tuple[MeetingRef, ...] = Field(min_length=1, max_length=MAX_SUBSCRIPTIONS)
    since: str | None = Field(None, pattern=POSITION)
    """For every meeting that names none of its own."""


class Spelled:
    """A message as it is sent, spelled once however many watch."""

    def __init__(self, message: Json) -> None:
        """JSON has no line breaks of its own; half a character is spelled out."""
        self._head = f"id: {message['id']}\nevent: {message['type']}\ndata: ".encode()
        self.data = json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "backslashreplace")

    @cached_property
    def text(self) -> str:
        """For a WebSocket."""
        return self.data.decode()

    @cached_property
    def event(self) -> bytes:
        """For a stream of events."""
        return b"%b%b\n\n" % (self._head, self.data)


def entry_message(position: str, meeting: Json, message: LiveMessage) -> Json:
    """Spell one entry of a feed."""
    if message.kind is LiveKind.STATUS:
        return _envelope(message.kind, position, meeting, {"status": message.status}, message.at)
    payload = {
        "stream_uid": message.stream_uid,
        "segments": [_segment(segment, message.session_uid) for segment in message.segments],
    }
    return _envelope(message.kind, position, meeting, payload, message.at)


def status_message(position: str, meeting: Json, status: BotStatus, at: datetime) -> Json:
    """Spell the status that a meeting has."""
    return _envelope(LiveKind.STATUS, position, meeting, {"status": status}, at)


def stored_message(position: str, meeting: Json, segments: Iterable[StoredSegment], at: datetime) -> Json:
    """Spell stored text; `snapshot` tells watchers to forget the drafts that they still show."""
    payload = {"stream_uid": None, "snapshot": True, "segments": [_stored(segment) for segment in segments]}
    return _envelope(LiveKind.FINALIZED, position, meeting, payload, at)


def _envelope(kind: LiveKind, position: str, meeting: Json, payload: Json, at: datetime) -> Json:
    return {"type": kind, "id": position, "meeting": meeting, "payload": payload, "ts": at.isoformat()}


def _segment(segment: LiveSegment, session_uid: str) -> Json:
    return {
        "segment_id": segment.segment_id,
        "stream_uid": segment.stream_uid,
        "session_uid": session_uid,
        "start": segment.start_s,
        "end": segment.end_s,
        "text": segment.text,
        "language": segment.language,
        "speaker": segment.speaker,
        "revision": segment.revision,
        "mixed": segment.mixed,
        "completed": segment.completed,
    }


def _stored(segment: StoredSegment) -> Json:
    return {
        "segment_id": segment.segment_id,
        "stream_uid": segment.stream_uid,
        "session_uid": segment.session_uid,
        "start": segment.start_s,
        "end": segment.end_s,
        "text": segment.text,
        "language": segment.language,
        "speaker": segment.speaker,
        "revision": segment.revision,
        "mixed": segment.is_mixed,
        "completed": True,
    }

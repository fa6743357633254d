"""What users are told: which events become which notices, and how a notice is spelled."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from vexa_events.envelope import Event
from vexa_events.errors import InvalidMessage
from vexa_events.identity import BotStatus
from vexa_events.lifecycle import BotStatusChanged, MeetingFinalized
from vexa_events.registry import MEETING_FINALIZED, bot_type, read_data

API_VERSION = "2026-11-01"
STATUS_CHANGE = "meeting.status_change"
COMPLETED = "meeting.completed"
FAILED = "bot.failed"
READY = "transcription.ready"
EVENT_TYPES = frozenset({*(bot_type(status) for status in BotStatus), MEETING_FINALIZED})
"""What this function takes from the Broker."""

_ENDINGS = {BotStatus.COMPLETED: COMPLETED, BotStatus.FAILED: FAILED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One message to a user's receiver; the same fact always makes the same one."""

    user_id: int
    meeting_id: int
    fact_id: str
    """Id of the event that it tells of."""
    event_id: str
    event_type: str
    body: str
    """The JSON that is sent, byte for byte, on every attempt."""


def notices_of(event: Event) -> tuple[Notice, ...]:
    """Turn an event into what its user is told; raise InvalidMessage for one that is not ours."""
    if event.type == MEETING_FINALIZED:
        return (_ready(event.id, read_data(event, MeetingFinalized)),)
    if event.type not in EVENT_TYPES:
        raise InvalidMessage(f"the webhooks function does not take {event.type}")
    change = read_data(event, BotStatusChanged)
    kinds = [STATUS_CHANGE, *([_ENDINGS[change.status]] if change.status in _ENDINGS else [])]
    return tuple(_status(event.id, kind, change) for kind in kinds)


def _status(fact_id: str, event_type: str, change: BotStatusChanged) -> Notice:
    data = {"session_uid": change.session_uid, "sequence": change.sequence, "reason": change.reason}
    return _notice(fact_id, event_type, change, at=change.at, data=data)


def _ready(fact_id: str, meeting: MeetingFinalized) -> Notice:
    data = {
        "session_uid": meeting.session_uid,
        "segments": meeting.segments,
        "captured_s": meeting.captured_s,
        "missing_s": meeting.missing_s,
    }
    return _notice(fact_id, READY, meeting, at=meeting.at, data=data)


def _notice(
    fact_id: str,
    event_type: str,
    fact: BotStatusChanged | MeetingFinalized,
    *,
    at: datetime,
    data: Mapping[str, Any],
) -> Notice:
    event_id = f"{fact_id}:{event_type}"
    envelope = {
        "event_id": event_id,
        "event_type": event_type,
        "api_version": API_VERSION,
        "created_at": at.isoformat(),
        "data": {
            "meeting": {
                "id": fact.meeting_id,
                "platform": fact.platform,
                "native_meeting_id": fact.native_meeting_id,
                "status": fact.status.value,
            },
            **data,
        },
    }
    return Notice(
        user_id=fact.user_id,
        meeting_id=fact.meeting_id,
        fact_id=fact_id,
        event_id=event_id,
        event_type=event_type,
        body=json.dumps(envelope, separators=(",", ":")),
    )

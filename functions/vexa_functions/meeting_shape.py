"""A meeting as the public API spells it."""

from typing import Any

from vexa_functions.store.meetings import Meeting

URL_BY_PLATFORM = {
    "google_meet": "https://meet.google.com/{}",
    "teams": "https://teams.live.com/meet/{}",
    "zoom": "https://zoom.us/j/{}",
}


def meeting_shape(meeting: Meeting) -> dict[str, Any]:
    """Spell a meeting for users."""
    return {
        "id": meeting.id,
        "user_id": meeting.user_id,
        "platform": meeting.platform,
        "native_meeting_id": meeting.native_meeting_id,
        "constructed_meeting_url": meeting_url(meeting),
        "status": meeting.status.value,
        "bot_container_id": meeting.launcher_ref,
        "start_time": meeting.start_time and meeting.start_time.isoformat(),
        "end_time": meeting.end_time and meeting.end_time.isoformat(),
        "data": {**meeting.data, **({"reason": meeting.reason} if meeting.reason else {})},
        "created_at": meeting.created_at.isoformat(),
        "updated_at": meeting.updated_at.isoformat(),
    }


def meeting_url(meeting: Meeting) -> str | None:
    """Return the address that people open, where the platform has one."""
    template = URL_BY_PLATFORM.get(meeting.platform)
    return meeting.meeting_url or (template and template.format(meeting.native_meeting_id))

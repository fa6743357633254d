"""Answers that more than one function gives: meetings, users, and a message."""

from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from vexa_events.identity import BotStatus
from vexa_functions.store.meetings import Meeting
from vexa_functions.store.users import User

URL_BY_PLATFORM = {
    "google_meet": "https://meet.google.com/{}",
    "teams": "https://teams.live.com/meet/{}",
    "zoom": "https://zoom.us/j/{}",
    "jitsi": "https://meet.jit.si/{}",
}


class Answer(BaseModel):
    """Base of every answer."""

    model_config = ConfigDict(frozen=True, defer_build=True)


class MessageAnswer(Answer):
    """Something was done, in words."""

    message: str


class MeetingAnswer(Answer):
    """One request for a bot and what became of it."""

    id: int
    user_id: int
    platform: str
    native_meeting_id: str
    """Empty once the meeting is deleted."""
    constructed_meeting_url: str | None
    """The address that people open, where the platform has one."""
    status: BotStatus
    bot_container_id: str | None
    start_time: datetime | None
    end_time: datetime | None
    data: dict[str, Any]
    """What the user wrote down (name, participants, languages, notes), and the reason of the end with its evidence."""
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, meeting: Meeting, /, **more: Any) -> Self:
        """Spell a stored meeting; `more` holds what a model that goes further adds."""
        return cls(
            id=meeting.id,
            user_id=meeting.user_id,
            platform=meeting.platform,
            native_meeting_id=meeting.native_meeting_id,
            constructed_meeting_url=meeting_url(meeting),
            status=meeting.status,
            bot_container_id=meeting.launcher_ref,
            start_time=meeting.start_time,
            end_time=meeting.end_time,
            data={**meeting.data, **_end(meeting)},
            created_at=meeting.created_at,
            updated_at=meeting.updated_at,
            **more,
        )


class UserAnswer(Answer):
    """A user."""

    id: int
    email: str
    name: str | None
    image_url: str | None
    max_concurrent_bots: int
    """0 means unlimited."""
    data: dict[str, Any]
    created_at: datetime

    @classmethod
    def of(cls, user: User) -> Self:
        """Spell a stored user."""
        return cls(
            id=user.id,
            email=user.email,
            name=user.name,
            image_url=user.image_url,
            max_concurrent_bots=user.max_concurrent_bots,
            data=dict(user.data),
            created_at=user.created_at,
        )


def _end(meeting: Meeting) -> dict[str, str]:
    told = {"reason": meeting.reason, "evidence": meeting.evidence}
    return {name: words for name, words in told.items() if words}


def meeting_url(meeting: Meeting) -> str | None:
    """Return the address that people open: the one that was given, or the one that the ids make."""
    template = URL_BY_PLATFORM.get(meeting.platform) if meeting.native_meeting_id else None
    return meeting.meeting_url or (template and template.format(meeting.native_meeting_id))

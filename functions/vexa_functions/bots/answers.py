"""What users are answered about bots."""

from datetime import datetime

from vexa_events.identity import BotStatus
from vexa_functions.answers import Answer
from vexa_functions.store.meetings import Meeting

NORMALIZED_STATUS = {
    BotStatus.REQUESTED: "Requested",
    BotStatus.JOINING: "Starting",
    BotStatus.AWAITING_ADMISSION: "Starting",
    BotStatus.ACTIVE: "Up",
    BotStatus.STOPPING: "Stopping",
    BotStatus.COMPLETED: "Exited",
    BotStatus.FAILED: "Failed",
}


class RunningBotAnswer(Answer):
    """A bot that has not ended."""

    container_id: str | None
    """How its launcher calls it; none until it is launched."""
    container_name: str | None
    platform: str
    native_meeting_id: str
    status: BotStatus
    normalized_status: str
    """Requested, Starting, Up, Stopping, Exited or Failed."""
    created_at: datetime
    labels: dict[str, str]
    meeting_id_from_name: str

    @classmethod
    def of(cls, meeting: Meeting) -> "RunningBotAnswer":
        """Spell the bot of a running meeting."""
        return cls(
            container_id=meeting.launcher_ref,
            container_name=meeting.session_uid,
            platform=meeting.platform,
            native_meeting_id=meeting.native_meeting_id,
            status=meeting.status,
            normalized_status=NORMALIZED_STATUS[meeting.status],
            created_at=meeting.created_at,
            labels={},
            meeting_id_from_name=str(meeting.id),
        )


class RunningBotsAnswer(Answer):
    """A user's bots that have not ended, oldest first."""

    running_bots: list[RunningBotAnswer]

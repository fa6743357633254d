"""What users change about their meetings: notes, and whether the meeting is kept at all."""

import hashlib
import hmac
import logging
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from vexa_events.errors import Conflict, NotFound, Unavailable
from vexa_events.fields import Name, Text
from vexa_events.identity import UserId
from vexa_functions.answers import MeetingAnswer
from vexa_functions.collector.reader import MeetingName, find_meeting
from vexa_functions.live_feed import LiveFeed
from vexa_functions.store.tables import Store

logger = logging.getLogger(__name__)

LanguageTag = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$")]


class MeetingNotes(BaseModel):
    """What a user may write down about a meeting; absent fields stay, null ones are cleared."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)

    name: Name | None = None
    participants: Annotated[tuple[Name, ...], Field(max_length=500)] | None = None
    languages: Annotated[tuple[LanguageTag, ...], Field(max_length=100)] | None = None
    notes: Text | None = None


class MeetingChange(BaseModel):
    """A change of a meeting."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, defer_build=True)

    data: MeetingNotes


async def change_meeting(store: Store, user_id: UserId, name: MeetingName, change: MeetingChange) -> MeetingAnswer:
    """Write down what the user says of a meeting."""
    async with store.transaction() as tables:
        meeting = await find_meeting(tables, user_id, name)
        await tables.meetings.merge_data(meeting.id, change.data.model_dump(mode="json", exclude_unset=True))
        return MeetingAnswer.of(await find_meeting(tables, user_id, MeetingName(meeting_id=meeting.id)))


async def delete_meeting(store: Store, live: LiveFeed, user_id: UserId, name: MeetingName, *, signing_key: str) -> int:
    """
    Erase what was said and who was there, and keep numbers and times; return the meeting's id.

    The newest meeting that has or had these ids is meant, so that a request
    which is sent again never reaches an older meeting.
    """
    mark = _mark(user_id, name, signing_key)
    async with store.transaction() as tables:
        meeting = await tables.meetings.lock_latest_or_deleted(
            user_id,
            name.platform or "",
            name.native_meeting_id or "",
            deleted_mark=mark,
            meeting_id=name.meeting_id,
        )
        if meeting is None:
            raise NotFound(f"you have no meeting {name}")
        if not meeting.status.is_terminal:
            raise Conflict(f"meeting {meeting.id} is {meeting.status.value}; stop its bot first")
        if meeting.deleted_at is None:
            await tables.erasure.erase(meeting.id, deleted_mark=mark)
            logger.info("meeting deleted", extra={"meeting_id": meeting.id})
    try:
        await live.forget(meeting.id)
    except Unavailable as exc:
        logger.warning("live feed not dropped", extra={"meeting_id": meeting.id, "cause": str(exc)})
    return meeting.id


def _mark(user_id: UserId, name: MeetingName, signing_key: str) -> bytes:
    """Hash the ids with a key: ids are short enough to be found by trying, were the hash a plain one."""
    ids = f"deleted:{user_id}:{name.platform}:{name.native_meeting_id}"
    return hmac.digest(signing_key.encode(), ids.encode(), hashlib.sha256)

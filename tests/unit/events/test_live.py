"""The live feed's entries and keys."""

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from vexa_events.identity import BotStatus, segment_id
from vexa_events.live import LiveKind, LiveMessage, LiveSegment, StoredMark, WorkerSlots, feed_key, stored_key


def a_segment(stream_uid: str = "s.1") -> LiveSegment:
    return LiveSegment(
        segment_id=segment_id(stream_uid, 2, 7),
        stream_uid=stream_uid,
        start_s=1.5,
        end_s=2.25,
        text="Grüezi",
        completed=False,
    )


def a_message(*segments: LiveSegment) -> LiveMessage:
    return LiveMessage(
        kind=LiveKind.MUTABLE,
        meeting_id=5,
        session_uid="s",
        at=datetime(2026, 3, 17, 9, tzinfo=UTC),
        stream_uid="s.1",
        segments=segments,
    )


def test_an_entry_survives_the_feed() -> None:
    """What a reader parses is what was written."""
    message = a_message(a_segment())

    assert LiveMessage.model_validate_json(message.model_dump_json()) == message


def test_a_status_entry_has_no_segments() -> None:
    """A change of state travels in the same feed."""
    text = '{"kind":"meeting.status","meeting_id":5,"session_uid":"s","at":"2026-03-17T09:00:00Z","status":"active"}'

    message = LiveMessage.model_validate_json(text)

    assert (message.status, message.segments) == (BotStatus.ACTIVE, ())


def test_the_segment_of_the_longest_stream_uid_can_be_shown() -> None:
    """The bound of a segment's id leaves room for epoch and number."""
    assert a_segment("s" * 128).segment_id == f"{'s' * 128}-2-7"


def test_an_entry_is_bounded() -> None:
    """No entry holds more segments than one batch does."""
    with pytest.raises(ValidationError):
        a_message(*[a_segment()] * 201)


def test_a_mark_survives_valkey() -> None:
    """The acknowledgement is read as it was set."""
    mark = StoredMark(epoch=3, until_s=61.28)

    assert StoredMark.model_validate_json(mark.model_dump_json()) == mark


def test_keys_name_the_meeting_and_the_stream() -> None:
    """Writers and readers in different rooms meet at these keys."""
    assert (feed_key(5), stored_key("s.1")) == ("live:5", "stored:s.1")


def test_a_worker_that_names_no_bounds_takes_anything() -> None:
    """One that was started before there were bounds is not passed over."""
    worker = WorkerSlots.model_validate_json('{"slots":4,"streams":1,"url":"ws://a"}')

    assert (worker.languages, worker.tasks) == (None, None)

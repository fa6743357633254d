"""What users are told of an event."""

import json
from dataclasses import replace
from importlib.resources import files

import pytest

from vexa_events.envelope import Event, parse_json
from vexa_events.errors import InvalidMessage
from vexa_functions.webhooks.notices import notices_of


def sample(event_type: str) -> Event:
    return parse_json((files("vexa_events") / "samples" / f"{event_type}.json").read_text())


@pytest.mark.parametrize(
    ("event_type", "told"),
    [
        ("vexa.bot.requested.v1", ["meeting.status_change"]),
        ("vexa.bot.joining.v1", ["meeting.status_change"]),
        ("vexa.bot.awaiting_admission.v1", ["meeting.status_change"]),
        ("vexa.bot.active.v1", ["meeting.status_change"]),
        ("vexa.bot.stopping.v1", ["meeting.status_change"]),
        ("vexa.bot.completed.v1", ["meeting.status_change", "meeting.completed"]),
        ("vexa.bot.failed.v1", ["meeting.status_change", "bot.failed"]),
        ("vexa.meeting.finalized.v1", ["transcription.ready"]),
    ],
)
def test_each_fact_is_told_by_its_names(event_type: str, told: list[str]) -> None:
    """The end of a session is a change of status with a name of its own."""
    event = sample(event_type)

    notices = notices_of(event)

    assert [notice.event_type for notice in notices] == told
    assert all(notice.fact_id == event.id and notice.user_id == event.data["user_id"] for notice in notices)


def test_the_envelope_holds_what_receivers_rely_on() -> None:
    """Five fields, and the meeting with its state."""
    event = sample("vexa.bot.completed.v1")

    body = json.loads(notices_of(event)[1].body)

    assert list(body) == ["event_id", "event_type", "api_version", "created_at", "data"]
    assert (body["event_type"], body["created_at"][:10]) == ("meeting.completed", event.data["at"][:10])
    assert body["data"]["meeting"] == {
        "id": event.data["meeting_id"],
        "platform": event.data["platform"],
        "native_meeting_id": event.data["native_meeting_id"],
        "status": "completed",
    }


def test_a_finished_transcript_says_what_it_lacks() -> None:
    """A second that was not transcribed is told with the news that the rest is there."""
    event = sample("vexa.meeting.finalized.v1")

    data = json.loads(notices_of(event)[0].body)["data"]

    assert {name: data[name] for name in ("segments", "captured_s", "missing_s")} == {
        name: event.data[name] for name in ("segments", "captured_s", "missing_s")
    }


def test_the_same_fact_is_always_the_same_notice() -> None:
    """An event that comes twice is recognised, whatever its envelope gathered on the way."""
    event = sample("vexa.bot.failed.v1")
    again = replace(event, time="2030-01-01T00:00:00+00:00", extensions={"knativearrivaltime": "later"})

    assert notices_of(event) == notices_of(again)
    assert len({notice.event_id for notice in notices_of(event)}) == 2


def test_an_event_of_somebody_else_is_refused() -> None:
    """It goes to the dead letters instead of being lost in silence."""
    with pytest.raises(InvalidMessage, match="does not take"):
        notices_of(sample("vexa.transcript.committed.v1"))

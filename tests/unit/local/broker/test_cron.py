"""When a PingSource is due."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from vexa_events.errors import InvalidMessage
from vexa_local.broker.cron import parse_schedule


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("schedule", "now", "due"),
    [
        ("* * * * *", "2026-03-01T10:00:00", "2026-03-01T10:01:00"),
        ("* * * * *", "2026-03-01T10:00:59.9", "2026-03-01T10:01:00"),
        ("*/15 * * * *", "2026-03-01T10:16:00", "2026-03-01T10:30:00"),
        ("5,35 8-10 * * *", "2026-03-01T10:36:00", "2026-03-02T08:05:00"),
        ("0 0 29 2 *", "2026-03-01T00:00:00", "2028-02-29T00:00:00"),
        ("0 12 * * mon-fri", "2026-03-07T00:00:00", "2026-03-09T12:00:00"),
        ("0 0 1 * mon", "2026-03-03T00:00:00", "2026-03-09T00:00:00"),
        ("0 0 1 jan *", "2026-03-01T00:00:00", "2027-01-01T00:00:00"),
        ("10/20 * * * *", "2026-03-01T10:11:00", "2026-03-01T10:30:00"),
        ("@hourly", "2026-03-01T10:00:00", "2026-03-01T11:00:00"),
        ("@daily", "2026-12-31T10:00:00", "2027-01-01T00:00:00"),
        ("@weekly", "2026-03-02T00:00:00", "2026-03-08T00:00:00"),
        ("@every 5s", "2026-03-01T10:00:00", "2026-03-01T10:00:05"),
        ("@every 1h30m", "2026-03-01T10:00:00", "2026-03-01T11:30:00"),
    ],
)
def test_the_next_time_follows_the_schedule(schedule: str, now: str, due: str) -> None:
    """Due times lie strictly after now."""
    assert parse_schedule(schedule).next_after(at(now)) == at(due)


def test_a_schedule_is_read_on_the_clock_of_its_zone() -> None:
    """Noon in Berlin is eleven in UTC, in winter."""
    schedule = parse_schedule("0 12 * * *", zone=ZoneInfo("Europe/Berlin"))

    assert schedule.next_after(at("2026-01-10T00:00:00")) == at("2026-01-10T11:00:00")


@pytest.mark.parametrize(
    "schedule",
    ["", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 7", "*/0 * * * *",
     "5-1 * * * *", "x * * * *", "@every", "@every 0s", "@every 5", "@never"],
)  # fmt: skip
def test_a_wrong_schedule_is_refused(schedule: str) -> None:
    """Knative's parser refuses these too."""
    with pytest.raises(InvalidMessage):
        parse_schedule(schedule)


def test_a_schedule_that_never_comes_due_says_so() -> None:
    """There is no 31 February."""
    with pytest.raises(InvalidMessage, match="never"):
        parse_schedule("0 0 31 2 *").next_after(at("2026-01-01T00:00:00"))

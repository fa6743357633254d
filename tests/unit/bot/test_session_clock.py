"""The session clock: positions against the monotonic clock."""

from datetime import UTC, datetime

import pytest

from vexa_bot.session_clock import SessionClock, to_ms, to_s

CLOCK = SessionClock(zero_at=datetime(2026, 1, 1, tzinfo=UTC), zero_monotonic_s=100.0)


@pytest.mark.parametrize(
    ("position_ms", "now_s", "wait_s"),
    [(0, 100.0, 0.0), (200, 100.0, 0.2), (200, 100.15, 0.05), (200, 103.0, 0.0), (3_600_000, 100.5, 3_599.5)],
)
def test_the_wait_is_for_what_is_left_and_never_negative(position_ms: int, now_s: float, wait_s: float) -> None:
    """Delays do not add up: each wait is measured from the zero."""
    assert CLOCK.wait_s(position_ms, now_s=now_s) == pytest.approx(wait_s)


@pytest.mark.parametrize("position_s", [0.0, 0.001, 1.0005, 68.921, 46.634, 359_999.999])
def test_positions_survive_the_way_to_another_room_and_back(position_s: float) -> None:
    """A millisecond stays that millisecond."""
    assert to_ms(to_s(to_ms(position_s))) == to_ms(position_s)

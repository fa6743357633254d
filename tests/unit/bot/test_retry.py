"""Backoff and persistence."""

import pytest

from vexa_bot.retry import Backoff, persist
from vexa_events.errors import Conflict, Overloaded, Unavailable, VexaError


def a_backoff(random: float = 1.0, *, first_s: float = 0.2, longest_s: float = 10.0) -> Backoff:
    return Backoff(first_s=first_s, longest_s=longest_s, random=lambda: random)


def test_delays_double_up_to_the_longest_and_start_again_after_a_reset() -> None:
    """From 0.2 s to 10 s."""
    backoff = a_backoff()

    assert [backoff.next_s() for _ in range(8)] == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]
    backoff.reset()
    assert backoff.next_s() == 0.2


def test_jitter_takes_off_at_most_half() -> None:
    """Bots that lost one worker do not come back all at once."""
    assert [a_backoff(0.0).next_s(), a_backoff(0.5).next_s()] == pytest.approx([0.1, 0.15])


class _Attempts:
    def __init__(self, *faults: VexaError) -> None:
        self.faults = list(faults)
        self.count = 0

    async def __call__(self) -> str:
        self.count += 1
        if self.faults:
            raise self.faults.pop(0)
        return "done"


async def test_what_may_heal_is_tried_again() -> None:
    """Both kinds of trouble that pass."""
    attempts = _Attempts(Unavailable("away"), Overloaded("busy"))

    assert await persist(attempts, backoff=a_backoff(first_s=0.001), limit_s=5.0) == "done"
    assert attempts.count == 3


async def test_what_cannot_heal_is_raised_at_once() -> None:
    """No second attempt."""
    attempts = _Attempts(Conflict("no"))

    with pytest.raises(Conflict):
        await persist(attempts, backoff=a_backoff(), limit_s=5.0)
    assert attempts.count == 1


async def test_past_the_limit_the_last_trouble_is_raised() -> None:
    """A wait that would end after the limit is not begun."""
    attempts = _Attempts(*[Unavailable("away")] * 50)

    with pytest.raises(Unavailable):
        await persist(attempts, backoff=a_backoff(first_s=0.01, longest_s=0.01), limit_s=0.05)
    assert attempts.count <= 6

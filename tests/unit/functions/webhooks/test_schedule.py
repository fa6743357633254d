"""When a delivery is tried again."""

from itertools import pairwise

import pytest

from vexa_functions.webhooks.schedule import DELAYS_S, LONGEST_DELAY_S, Outcome, Verdict, judge, pause_s

RETRY = Outcome(verdict=Verdict.RETRY)


@pytest.mark.parametrize(
    ("status_code", "verdict"),
    [
        (200, Verdict.DELIVERED),
        (202, Verdict.DELIVERED),
        (204, Verdict.DELIVERED),
        (301, Verdict.FINAL),
        (307, Verdict.FINAL),
        (400, Verdict.FINAL),
        (401, Verdict.FINAL),
        (404, Verdict.FINAL),
        (410, Verdict.FINAL),
        (422, Verdict.FINAL),
        (429, Verdict.RETRY),
        (500, Verdict.RETRY),
        (502, Verdict.RETRY),
        (503, Verdict.RETRY),
        (599, Verdict.RETRY),
    ],
)
def test_an_answer_is_taken_final_or_tried_again(status_code: int, verdict: Verdict) -> None:
    """5xx and 429 may pass; another refusal will be the same tomorrow."""
    assert judge(status_code).verdict is verdict


def test_pauses_grow_up_to_a_day_and_then_end() -> None:
    """A receiver that is down for a weekend night still gets its notices; one that is gone is given up."""
    pauses = [pause_s(RETRY, attempts=attempt, jitter=0.0) for attempt in range(1, len(DELAYS_S) + 2)]

    assert pauses == [*DELAYS_S, None]
    assert all(shorter < longer for shorter, longer in pairwise(DELAYS_S))
    assert DELAYS_S[-1] == LONGEST_DELAY_S == 24 * 3600


@pytest.mark.parametrize("verdict", [Verdict.DELIVERED, Verdict.FINAL])
def test_nothing_follows_a_final_answer(verdict: Verdict) -> None:
    """What was taken or refused is not sent again by itself."""
    assert pause_s(Outcome(verdict=verdict), attempts=1, jitter=0.5) is None


def test_jitter_only_lengthens() -> None:
    """Nobody is tried before their pause is over."""
    assert pause_s(RETRY, attempts=1, jitter=1.0) == pytest.approx(DELAYS_S[0] * 1.1)


@pytest.mark.parametrize(
    ("retry_after", "expected_s"),
    [
        ("120", 120.0),
        ("1", 10.0),
        ("999999999", 86_400.0),
        ("9999999999999", 10.0),
        ("Wed, 21 Oct 2026 07:28:00 GMT", 10.0),
        ("-5", 10.0),
        ("", 10.0),
        (None, 10.0),
    ],
)
def test_a_receiver_may_ask_for_a_longer_pause(retry_after: str | None, expected_s: float) -> None:
    """Retry-After is a lower bound, itself bounded by a day."""
    outcome = judge(429, retry_after=retry_after)

    assert pause_s(outcome, attempts=1, jitter=0.0) == expected_s

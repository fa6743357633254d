"""What answers mean and how long retries wait."""

from dataclasses import replace

import pytest

from vexa_local.broker.delivery import LONGEST_WAIT_S, NO_ANSWER, NOT_AN_EVENT, Answer, Backoff, DeliveryPolicy


def a_policy(backoff: Backoff) -> DeliveryPolicy:
    return DeliveryPolicy(retry=5, backoff=backoff, backoff_delay_s=0.5, timeout_s=1.0, dead_letter_url=None)


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (200, "done"),
        (202, "done"),
        (204, "done"),
        (301, "refused"),
        (304, "refused"),
        (400, "refused"),
        (401, "refused"),
        (403, "refused"),
        (404, "retry"),
        (405, "refused"),
        (408, "retry"),
        (409, "retry"),
        (410, "refused"),
        (413, "refused"),
        (415, "refused"),
        (422, "refused"),
        (425, "refused"),
        (429, "retry"),
        (499, "refused"),
        (500, "retry"),
        (501, "retry"),
        (502, "retry"),
        (503, "retry"),
        (504, "retry"),
        (599, "retry"),
        (NO_ANSWER, "retry"),
        (NOT_AN_EVENT, "retry"),
    ],
)
def test_a_status_means_what_it_means_to_knative(status: int, verdict: str) -> None:
    """The whole retry table."""
    assert Answer(status=status).verdict == verdict


def test_exponential_waits_double_from_the_delay_on() -> None:
    """delay * 2^n, with n counted from 0."""
    assert [a_policy(Backoff.EXPONENTIAL).wait_s(retry) for retry in range(4)] == [0.5, 1.0, 2.0, 4.0]


def test_linear_waits_grow_by_the_delay_and_begin_with_none() -> None:
    """delay * n, with n counted from 0: the first retry is immediate."""
    assert [a_policy(Backoff.LINEAR).wait_s(retry) for retry in range(4)] == [0.0, 0.5, 1.0, 1.5]


def test_without_policy_or_delay_nothing_waits() -> None:
    """Knative computes a wait from both or from neither."""
    policy = replace(a_policy(Backoff.LINEAR), backoff=None)
    undelayed = replace(a_policy(Backoff.LINEAR), backoff_delay_s=None)

    assert policy.wait_s(3) == undelayed.wait_s(3) == 0.0


@pytest.mark.parametrize("backoff", list(Backoff))
def test_a_wait_is_bounded(backoff: Backoff) -> None:
    """A hundred retries must not wait for years."""
    assert a_policy(backoff).wait_s(100_000) <= LONGEST_WAIT_S

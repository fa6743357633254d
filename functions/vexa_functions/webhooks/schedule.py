"""When a delivery is tried again, and when it is not."""

from dataclasses import dataclass
from enum import StrEnum

DELAYS_S = (10, 60, 300, 1_800, 7_200, 21_600, 43_200, 86_400)
"""Pauses after the first failed attempt and those that follow; after as many and one more, it has failed."""
LONGEST_DELAY_S = DELAYS_S[-1]
JITTER = 0.1
"""Part of a pause by which it may be longer, so that many that failed together come back apart."""


class Verdict(StrEnum):
    """What an attempt came to."""

    DELIVERED = "delivered"
    RETRY = "retry"
    FINAL = "final"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one attempt ended."""

    verdict: Verdict
    status_code: int | None = None
    error: str | None = None
    retry_after_s: float = 0.0
    """The least pause that the receiver asks for."""


def judge(status_code: int, *, retry_after: str | None = None) -> Outcome:
    """Read a receiver's answer: 5xx and 429 may pass, everything else but success will not."""
    if 200 <= status_code < 300:
        return Outcome(verdict=Verdict.DELIVERED, status_code=status_code)
    if status_code == 429 or status_code >= 500:
        return Outcome(
            verdict=Verdict.RETRY,
            status_code=status_code,
            error=f"the receiver answered {status_code}",
            retry_after_s=_seconds(retry_after),
        )
    redirect = "; redirects are not followed" if 300 <= status_code < 400 else ""
    return Outcome(
        verdict=Verdict.FINAL, status_code=status_code, error=f"the receiver answered {status_code}{redirect}"
    )


def pause_s(outcome: Outcome, *, attempts: int, jitter: float) -> float | None:
    """
    Return how long to wait after a failed attempt; None where none follows.

    `attempts` counts those of this round, the failed one included; `jitter`
    is random between 0 and 1.
    """
    if outcome.verdict is not Verdict.RETRY or attempts > len(DELAYS_S):
        return None
    own_s = DELAYS_S[attempts - 1] * (1 + JITTER * jitter)
    return max(own_s, outcome.retry_after_s)


def _seconds(retry_after: str | None) -> float:
    """Read the delay form of Retry-After; a date or nonsense asks for nothing."""
    text = (retry_after or "").strip()
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        return 0.0
    return float(min(int(text), LONGEST_DELAY_S))

"""What an answer of a subscriber means and what follows, as Knative decides it; pure."""

from dataclasses import dataclass
from enum import StrEnum

from vexa_events.envelope import Event
from vexa_events.publisher import RETRIED

NO_ANSWER = -1
"""Stands for the status where the connection failed or the time ran out."""
NOT_AN_EVENT = 502
"""Stands for a 2xx whose body is not a CloudEvent: the Broker's filter reports exactly this."""
LONGEST_WAIT_S = 3_600.0


class Backoff(StrEnum):
    """How the wait grows from one retry to the next."""

    EXPONENTIAL = "exponential"
    LINEAR = "linear"


class Verdict(StrEnum):
    """What one answer means."""

    DONE = "done"
    RETRY = "retry"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryPolicy:
    """A `delivery` block with its links resolved."""

    retry: int
    backoff: Backoff
    backoff_delay_s: float
    timeout_s: float
    """For each attempt."""
    dead_letter_url: str | None

    def wait_s(self, retry: int) -> float:
        """Return how long to wait before a retry, counted from 0."""
        if self.backoff is Backoff.LINEAR:
            return min(self.backoff_delay_s * retry, LONGEST_WAIT_S)
        return min(self.backoff_delay_s * 2.0 ** min(retry, 64), LONGEST_WAIT_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How a subscriber answered one attempt."""

    status: int
    body: bytes = b""
    """At most the first kilobyte, for the dead letter."""
    reply: Event | None = None

    @property
    def verdict(self) -> Verdict:
        """Read the status as a Knative sender does."""
        if 200 <= self.status < 300:
            return Verdict.DONE
        if self.status == NO_ANSWER or self.status >= 500 or self.status in RETRIED:
            return Verdict.RETRY
        return Verdict.REFUSED

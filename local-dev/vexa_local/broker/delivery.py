"""What an answer of a subscriber means and what follows, as Knative decides it; pure."""

from base64 import b64encode
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from vexa_events.envelope import Event
from vexa_events.publisher import RETRIED

NO_ANSWER = -1
"""Stands for the status where the connection failed or the time ran out."""
NOT_AN_EVENT = 502
"""Stands for a 2xx whose body is not a CloudEvent: the Broker's filter reports exactly this."""
DISPATCH_ERROR = 500
"""What a dead letter says where there was no answer."""
LONGEST_WAIT_S = 3_600.0


class Backoff(StrEnum):
    """How the wait grows from one retry to the next."""

    EXPONENTIAL = "exponential"
    LINEAR = "linear"


class Form(StrEnum):
    """How an event is spelled on its way to a subscriber: `delivery.format`."""

    BINARY = "binary"
    STRUCTURED = "json"


class Verdict(StrEnum):
    """What one answer means."""

    DONE = "done"
    RETRY = "retry"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryPolicy:
    """A `delivery` block with its links resolved."""

    retry: int
    backoff: Backoff | None
    backoff_delay_s: float | None
    timeout_s: float
    """For each attempt, a cold start included."""
    dead_letter_url: str | None
    form: Form = Form.BINARY

    def wait_s(self, retry: int) -> float:
        """Return how long to wait before a retry, counted from 0; not at all unless policy and delay are both given."""
        if self.backoff is None or self.backoff_delay_s is None:
            return 0.0
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

    @property
    def code(self) -> int:
        """Return what `knativeerrorcode` says of it."""
        return DISPATCH_ERROR if self.status == NO_ANSWER else self.status


class Stage(StrEnum):
    """What is being tried for an entry."""

    SUBSCRIBER = "subscriber"
    REPLY = "reply"
    DEAD_LETTER = "dead letter"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What a dead letter says of the failure, in its `knativeerror` attributes."""

    destination: str
    code: int
    data: str
    """The body of the answer in base64; empty where there was none."""

    @classmethod
    def of(cls, url: str, answer: Answer) -> Self:
        """Read the answer that ended the attempts."""
        return cls(destination=url, code=answer.code, data=b64encode(answer.body).decode())


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a Trigger has come with one entry."""

    retries: int = 0
    """How often the attempt was made again, or is about to be."""
    due_at: float = 0.0
    """When the next attempt is due, in seconds since 1970."""
    failure: Failure | None = None
    """Set once the entry is a dead letter: retries then count those at the sink."""

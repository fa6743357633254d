"""
What a function counts and measures, and how Prometheus reads it.

The instruments are plain numbers, so that counting costs a cold start nothing;
the library that spells them is imported by the first scrape.
"""

from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING

from vexa_events.errors import InvalidMessage

if TYPE_CHECKING:
    from prometheus_client.core import Metric

DURATION_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Those that OpenTelemetry advises for requests over HTTP."""
MAX_SERIES = 1_000
"""Of one instrument; what comes later is left out and counted."""


class Numbers:
    """One instrument: a number for each combination of labels."""

    def __init__(self, kind: str, name: str, meaning: str, *labels: str) -> None:
        """`kind` is counter or gauge."""
        self.kind = kind
        self.name = name
        self.meaning = meaning
        self.labels = labels
        self.by_labels: dict[tuple[str, ...], float] = {}
        self.left_out = 0

    def add(self, amount: float, *values: str) -> None:
        """Add to one number."""
        if values in self.by_labels or len(self.by_labels) < MAX_SERIES:
            self.by_labels[values] = self.by_labels.get(values, 0.0) + amount
        else:
            self.left_out += 1

    def set_all(self, by_labels: dict[tuple[str, ...], float]) -> None:
        """Forget every number for these."""
        self.by_labels = by_labels


class Durations:
    """One instrument: how long things took, by labels."""

    def __init__(self, name: str, meaning: str, *labels: str) -> None:
        self.name = name
        self.meaning = meaning
        self.labels = labels
        self.counts: dict[tuple[str, ...], list[int]] = {}
        """How many fell into each bucket; the last has no upper bound."""
        self.sums_s: dict[tuple[str, ...], float] = {}
        self.left_out = 0

    def observe(self, took_s: float, *values: str) -> None:
        """Note one duration."""
        counts = self.counts.get(values)
        if counts is None:
            if len(self.counts) >= MAX_SERIES:
                self.left_out += 1
                return
            counts = self.counts[values] = [0] * (len(DURATION_BUCKETS_S) + 1)
        counts[bisect_left(DURATION_BUCKETS_S, took_s)] += 1
        self.sums_s[values] = self.sums_s.get(values, 0.0) + took_s


REQUESTS = Durations(
    "http_server_request_duration_seconds",
    "Requests answered, health checks and WebSockets left out",
    "http_request_method",
    "http_route",
    "http_response_status_code",
)
ACTIVE_REQUESTS = Numbers("gauge", "http_server_active_requests", "Requests being answered", "http_request_method")
EVENTS = Numbers("counter", "vexa_events", "Events that the Broker sent, by what became of them", "type", "outcome")
CONNECTIONS = Numbers("gauge", "vexa_db_connections_used", "Connections to Postgres that are lent out")
CONNECTIONS_MAX = Numbers("gauge", "vexa_db_connections_max", "Connections to Postgres that may be lent out")
CONNECTIONS_REFUSED = Numbers("counter", "vexa_db_failures", "Uses of Postgres that failed and may be tried again")
OUTBOX = Numbers("gauge", "vexa_outbox_events", "Events not published, as of the last tick", "state")
DEAD_LETTERS = Numbers("gauge", "vexa_dead_letters", "Dead letters that nobody has sent again, as of the last tick")
BOTS = Numbers("gauge", "vexa_bots", "Sessions that have not ended, by status, as of the last tick", "status")
COVERED = {
    kind: Numbers("counter", f"vexa_coverage_{kind}_seconds", f"{meaning}, of all finalized sessions")
    for kind, meaning in (
        ("captured", "Audio that bots had"),
        ("speech", "Stored speech"),
        ("silence", "Stored silence"),
        ("muted", "Time in which participants were muted"),
    )
}
MISSING = Numbers(
    "counter", "vexa_coverage_missing_seconds", "Audio without text, of all finalized sessions, by why", "reason"
)
COLD_START = Numbers(
    "gauge", "vexa_cold_start_seconds", "From the start of this process to its first answer, waiting for it left out"
)
SPANS = Numbers("counter", "vexa_spans", "Spans that were to be exported, by what became of them", "outcome")
INSTRUMENTS: tuple[Numbers | Durations, ...] = (
    REQUESTS,
    ACTIVE_REQUESTS,
    EVENTS,
    CONNECTIONS,
    CONNECTIONS_MAX,
    CONNECTIONS_REFUSED,
    OUTBOX,
    DEAD_LETTERS,
    BOTS,
    *COVERED.values(),
    MISSING,
    COLD_START,
    SPANS,
)


class Outcome(StrEnum):
    """What becomes of an event."""

    TAKEN = "taken"
    DUPLICATE = "duplicate"
    """Nothing was left to do: it is known, or nobody wants it any more."""
    EARLY = "early"
    """Kept until what goes before it comes."""
    REFUSED = "refused"
    """For good: the Broker makes it a dead letter."""
    FAILED = "failed"
    """To be tried again."""


class Counted:
    """An event that is being taken."""

    outcome = Outcome.TAKEN


@contextmanager
def counted(event_type: str) -> Iterator[Counted]:
    """Count an event by how the block ends; the block may say more exactly how it was taken."""
    event = Counted()
    try:
        yield event
    except InvalidMessage:
        event.outcome = Outcome.REFUSED
        raise
    except BaseException:  # only counted
        event.outcome = Outcome.FAILED
        raise
    finally:
        EVENTS.add(1, event_type, event.outcome)


def exposition() -> bytes:
    """Spell everything as Prometheus reads it."""
    from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest  # noqa: PLC0415 - see above

    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(_Instruments())
    return generate_latest(registry)


class _Instruments:
    """What prometheus_client calls a collector."""

    def collect(self) -> "Iterator[Metric]":
        from prometheus_client.core import CounterMetricFamily  # noqa: PLC0415 - see above

        left_out = CounterMetricFamily("vexa_metrics_left_out", "Numbers not kept, as their instrument had too many")
        left_out.add_metric([], sum(instrument.left_out for instrument in INSTRUMENTS))
        yield left_out
        for instrument in INSTRUMENTS:
            yield _durations(instrument) if isinstance(instrument, Durations) else _numbers(instrument)


def _numbers(numbers: Numbers) -> "Metric":
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily  # noqa: PLC0415 - see above

    kind = CounterMetricFamily if numbers.kind == "counter" else GaugeMetricFamily
    family = kind(numbers.name, numbers.meaning, labels=numbers.labels)
    for values, value in numbers.by_labels.items():
        family.add_metric(list(values), value)
    return family


def _durations(durations: Durations) -> "Metric":
    from prometheus_client.core import HistogramMetricFamily  # noqa: PLC0415 - see above

    family = HistogramMetricFamily(durations.name, durations.meaning, labels=durations.labels)
    bounds = [*(str(bound) for bound in DURATION_BUCKETS_S), "+Inf"]
    for values, counts in durations.counts.items():
        up_to = [sum(counts[: index + 1]) for index in range(len(counts))]
        family.add_metric(
            list(values), buckets=list(zip(bounds, up_to, strict=True)), sum_value=durations.sums_s[values]
        )
    return family

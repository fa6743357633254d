"""What a worker counts and measures, as Prometheus reads it."""

from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from vexa_pool.streaming.window import Purpose

CONTENT_TYPE = CONTENT_TYPE_LATEST
QUANTILES = (0.5, 0.95, 1.0)
DECODE_BUCKETS_S = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0)
STEP_BUCKETS_S = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 10.0, 20.0, 60.0, 120.0)


class PoolMetrics:
    """The instruments of one worker, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._streams = self._gauge("vexa_pool_streams", "Streams being carried")
        self._slots = self._gauge("vexa_pool_slots", "Streams that can be carried; none while draining")
        self._unacknowledged = self._gauge("vexa_pool_batches_unacknowledged", "Batches that are not stored yet")
        self._lag = Gauge(
            "vexa_pool_lag_seconds",
            "How far streams are behind their speakers: audio that waits here, and audio that senders hold back",
            ["quantile"],
            registry=self._registry,
        )
        self._received = self._counter("vexa_pool_audio_received_seconds", "Audio received")
        self._decoded = self._labelled("vexa_pool_audio_decoded_seconds", "Audio decoded, repeats included", "purpose")
        self._shed = self._labelled("vexa_pool_audio_shed_seconds", "Audio that was given up", "reason")
        self._refused = self._labelled("vexa_pool_connections_refused", "Connections refused", "reason")
        self._published = self._counter("vexa_pool_batches_published", "Batches accepted by the sink")
        self._repeated = self._counter("vexa_pool_batches_reemitted", "Batches sent again, as none had stored them")
        self._spans = self._labelled("vexa_spans", "Spans that were to be exported, by what became of them", "outcome")
        self._decode = self._histogram(
            "vexa_pool_decode_duration_seconds", "Time per group of windows", DECODE_BUCKETS_S
        )
        self._step = self._histogram("vexa_pool_step_seconds", "New audio in a stream between decodes", STEP_BUCKETS_S)

    def watch(
        self,
        *,
        slots: Callable[[], int],
        streams: Callable[[], int],
        unacknowledged: Callable[[], int],
        lags_s: Callable[[], Sequence[float]],
    ) -> None:
        """Read these whenever somebody asks."""
        self._slots.set_function(slots)
        self._streams.set_function(streams)
        self._unacknowledged.set_function(unacknowledged)
        for share in QUANTILES:
            self._lag.labels(f"{share:g}").set_function(_Quantile(lags_s, share))

    def received(self, audio_s: float) -> None:
        """Count audio that came in."""
        self._received.inc(audio_s)

    def decoding(self, purpose: Purpose, *, audio_s: float, step_s: float) -> None:
        """Count a window that is decoded, `step_s` after its stream's last."""
        self._decoded.labels(purpose.value).inc(audio_s)
        self._step.observe(step_s)

    def decoded(self, took_s: float) -> None:
        """Measure one call of the model."""
        self._decode.observe(took_s)

    def shed(self, audio_s: float, *, reason: str) -> None:
        """Count audio that was given up."""
        self._shed.labels(reason).inc(audio_s)

    def refused(self, reason: str) -> None:
        """Count a connection that got an error instead of a stream."""
        self._refused.labels(reason).inc()

    def published(self, *, is_repeat: bool) -> None:
        """Count a batch that the sink accepted."""
        self._published.inc()
        if is_repeat:
            self._repeated.inc()

    def spans(self, outcome: str, number: int) -> None:
        """Count spans that were to be exported."""
        self._spans.labels(outcome).inc(number)

    def exposition(self) -> bytes:
        """Spell everything as Prometheus reads it."""
        return generate_latest(self._registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(name, text, registry=self._registry)

    def _counter(self, name: str, text: str) -> Counter:
        return Counter(name, text, registry=self._registry)

    def _labelled(self, name: str, text: str, label: str) -> Counter:
        return Counter(name, text, [label], registry=self._registry)

    def _histogram(self, name: str, text: str, buckets: Sequence[float]) -> Histogram:
        return Histogram(name, text, buckets=buckets, registry=self._registry)


class _Quantile:
    def __init__(self, values: Callable[[], Sequence[float]], share: float) -> None:
        self._values = values
        self._share = share

    def __call__(self) -> float:
        """Return the value below which that share of all values lies; 0 where there are none."""
        ordered = sorted(self._values())
        return ordered[min(len(ordered) - 1, int(self._share * len(ordered)))] if ordered else 0.0

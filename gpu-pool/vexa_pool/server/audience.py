"""Passes a stream's results to its client and, where the stream is stored, to sink and readers."""

import logging
from collections.abc import Sequence

from vexa_events.identity import MissingReason
from vexa_events.stream import server_language, server_warning
from vexa_events.transcript import Span
from vexa_pool.server.bound_stream import BoundStream
from vexa_pool.server.client_outbox import ClientOutbox
from vexa_pool.server.metrics import PoolMetrics
from vexa_pool.streaming.batches import CommittedBatch
from vexa_pool.streaming.session import Update

logger = logging.getLogger(__name__)


class StreamAudience:
    """Everyone who wants the results of one connection."""

    def __init__(self, uid: str, outbox: ClientOutbox, bound: BoundStream | None, metrics: PoolMetrics) -> None:
        self._uid = uid
        self._metrics = metrics
        self._outbox = outbox
        self._bound = bound

    def language(self, language: str, probability: float) -> None:
        """The language was detected; said once."""
        self._outbox.note(server_language(self._uid, language, min(1.0, probability)))

    def update(self, update: Update, *, committed_until_s: float) -> None:
        """The words changed."""
        self._outbox.show(update.committed, update.hypothesis, committed_until_s=committed_until_s)
        if self._bound is not None:
            self._bound.show(update)

    def batches(self, batches: Sequence[CommittedBatch]) -> None:
        """Intervals are decided."""
        if self._bound is not None:
            self._bound.publish(batches)

    def shed(self, span: Span) -> None:
        """Audio was given up: say so on the wire and in the metrics; the batches say it to the ledger."""
        reason = span.reason or MissingReason.UNKNOWN
        text = f"{reason.value}: {span.from_s:.3f}-{span.until_s:.3f} s will not be transcribed"
        self._outbox.note(server_warning(self._uid, text))
        self._metrics.shed(span.until_s - span.from_s, reason=reason.value)
        logger.warning("audio shed", extra={"from_s": span.from_s, "until_s": span.until_s, "reason": reason.value})

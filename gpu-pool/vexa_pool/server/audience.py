"""Passes a stream's results to its client and, where the stream is stored, to sink and readers."""

from collections.abc import Sequence

from vexa_events.stream import server_language
from vexa_pool.server.bound_stream import BoundStream
from vexa_pool.server.client_outbox import ClientOutbox
from vexa_pool.streaming.batches import CommittedBatch
from vexa_pool.streaming.session import Update


class StreamAudience:
    """Everyone who wants the results of one connection."""

    def __init__(self, uid: str, outbox: ClientOutbox, bound: BoundStream | None) -> None:
        self._uid = uid
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

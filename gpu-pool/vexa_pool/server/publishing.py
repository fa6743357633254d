"""Sends the batches of bound streams to the sink, past the end of their connections."""

import asyncio
import logging
from collections.abc import Callable

from vexa_events.errors import InvalidMessage, Unavailable
from vexa_events.live import StoredMark
from vexa_events.publisher import Publisher
from vexa_events.registry import committed_event
from vexa_events.trace_context import TraceContext
from vexa_events.tracing import Tracer
from vexa_events.transcript import TranscriptCommitted
from vexa_pool.server.batch_traces import BatchTraces
from vexa_pool.server.metrics import PoolMetrics
from vexa_pool.server.unacknowledged import Unacknowledged

logger = logging.getLogger(__name__)

LINGER_S = 120.0
"""A stream whose connection is gone is published for this long, unless stored or fenced before."""
Clock = Callable[[], float]


class Publication:
    """The publishing of one stream; outlives its connection by at most LINGER_S."""

    def __init__(
        self,
        stream_uid: str,
        epoch: int,
        *,
        clock: Clock,
        on_change: Callable[[float | None], None],
        trace: TraceContext | None = None,
    ) -> None:
        """
        `on_change` is told how far the stream is stored, or None when a newer epoch fenced it.

        `trace` is that of the session.
        """
        self.stream_uid = stream_uid
        self._traces = BatchTraces(trace)
        self.pending = Unacknowledged(epoch)
        self._clock = clock
        self._on_change = on_change
        self._wanted = asyncio.Event()
        self._ends_at_s: float | None = None
        self._sent_is_enough = False

    def add(self, batch: TranscriptCommitted) -> None:
        """Publish a batch until it is stored."""
        self._traces.add(batch.batch_seq)
        self.pending.add(batch)
        self._wanted.set()

    def acknowledge(self, mark: StoredMark) -> None:
        """Take in how far the database has the stream."""
        if self.pending.acknowledge(mark):
            self._on_change(None if self.pending.is_fenced else mark.until_s)
            self._wanted.set()

    def close(self) -> None:
        """What is added from here on are the stream's last words."""
        self._traces.close()

    def linger(self) -> None:
        """No batch follows: go on for a while."""
        self._ends_at_s = self._clock() + LINGER_S
        self._wanted.set()

    def hurry(self) -> None:
        """The process is ending: only see to it that each batch was accepted once."""
        self._sent_is_enough = True
        self._wanted.set()

    async def run(self, publisher: Publisher, metrics: PoolMetrics, tracer: Tracer) -> None:
        """Publish until nothing is left to do."""
        while not self._is_done():
            batch = self.pending.due(self._clock())
            if batch is not None:
                is_repeat = self.pending.is_sent
                if await self._publish(publisher, batch, Tracer() if is_repeat else tracer):
                    metrics.published(is_repeat=is_repeat)
            else:
                await self._wait()

    def _is_done(self) -> bool:
        if self.pending.is_fenced:
            return True
        if self._sent_is_enough and self.pending.is_sent:
            return True
        return self._ends_at_s is not None and (self.pending.is_empty or self._clock() >= self._ends_at_s)

    async def _publish(self, publisher: Publisher, batch: TranscriptCommitted, tracer: Tracer) -> bool:
        """Tell whether the sink accepted the batch."""
        about = {"stream_uid": self.stream_uid, "batch_seq": batch.batch_seq}
        event = committed_event(batch)
        try:
            with self._traces.publishing(event, batch, tracer) as context:
                await publisher.publish(event.traced(context))
        except Unavailable as exc:
            logger.warning("batch not accepted yet", extra={**about, "error": str(exc)})
            self.pending.failed(self._clock())
        except InvalidMessage as exc:
            logger.error("batch refused by the sink", extra={**about, "error": str(exc)})  # noqa: TRY400 - no traceback
            self.pending.failed(self._clock())
        else:
            self.pending.accepted(batch, self._clock())
            return True
        return False

    async def _wait(self) -> None:
        self._wanted.clear()
        limits = [self.pending.wait_s(self._clock())]
        limits.append(None if self._ends_at_s is None else max(0.0, self._ends_at_s - self._clock()))
        known = [limit for limit in limits if limit is not None]
        try:
            async with asyncio.timeout(min(known) if known else None):
                await self._wanted.wait()
        except TimeoutError:
            return


class Publications:
    """Owns the tasks that publish; streams come and go."""

    def __init__(self, publisher: Publisher, metrics: PoolMetrics, tracer: Tracer) -> None:
        self._publisher = publisher
        self._metrics = metrics
        self._tracer = tracer
        self._running: dict[asyncio.Task[None], Publication] = {}

    def start(self, publication: Publication) -> None:
        """Publish a stream from now on."""
        task = asyncio.create_task(publication.run(self._publisher, self._metrics, self._tracer))
        self._running[task] = publication
        task.add_done_callback(self._forget)

    @property
    def unacknowledged(self) -> int:
        """How many batches are not stored yet."""
        return sum(publication.pending.size for publication in self._running.values())

    def of_streams(self) -> dict[str, list[Publication]]:
        """Group what runs by stream; a stream has two while an older epoch lingers."""
        by_uid: dict[str, list[Publication]] = {}
        for publication in self._running.values():
            by_uid.setdefault(publication.stream_uid, []).append(publication)
        return by_uid

    async def aclose(self, *, within_s: float) -> None:
        """Let every batch be accepted once, for a bounded time; then stop."""
        for publication in self._running.values():
            publication.hurry()
        tasks = list(self._running)
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=within_s)
        for task in late:
            task.cancel()
        if late:
            logger.warning("batches left unpublished", extra={"streams": len(late)})
            await asyncio.wait(late)

    def _forget(self, task: asyncio.Task[None]) -> None:
        publication = self._running.pop(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("publishing failed", extra={"stream_uid": publication.stream_uid}, exc_info=error)

"""
Storing committed batches: each once, in order, under its stream's row lock.

The order of effects is what makes nothing get lost: first the text is
committed, then readers see it live, then the stream's mark is raised. A crash
between two of these is healed by the batch's next delivery, from the Broker or
from the worker. Whatever a delivery does, it shows what the database holds
from its batch on: also the batches that had waited for it, also where a newer
epoch has begun since.
"""

import logging
from collections.abc import Sequence
from itertools import groupby

from vexa_events.errors import InvalidMessage
from vexa_events.fields import same_instant
from vexa_events.lifecycle import SpeakerHinted, StreamAttributed
from vexa_events.live import LiveMessage, StoredMark
from vexa_events.transcript import TranscriptCommitted
from vexa_functions.collector.express import Express
from vexa_functions.collector.showing import of_stored
from vexa_functions.hosting.metrics import Outcome
from vexa_functions.live_feed import LiveFeed, News, Shown
from vexa_functions.store.streams import Stream, StreamOwner
from vexa_functions.store.tables import Store, Tables
from vexa_functions.store.transcripts import StoredSegment

logger = logging.getLogger(__name__)


class Ingest:
    """Takes the pool's batches, and what bots learn of who speaks."""

    def __init__(self, store: Store, live: LiveFeed) -> None:
        self._store = store
        self._live = live
        self._express = Express(store, live)

    async def take_batch(self, batch: TranscriptCommitted) -> Outcome:
        """Store a batch, hold it for its predecessor, or ignore it; acknowledge in every case."""
        return Outcome.TAKEN if await self._express.take(batch) else await self._take_alone(batch)

    async def take_attribution(self, attribution: StreamAttributed) -> None:
        """Repaint the stream's stored text in the live feed under its new speaker."""
        async with self._store.reading() as tables:
            stored = await tables.transcripts.segments(attribution.meeting_id)
        own = [segment for segment in stored if segment.stream_uid == attribution.stream_uid]
        for message in _messages(own, attribution, stream_uid=attribution.stream_uid):
            await self._live.publish(message)

    async def take_hints(self, hinted: SpeakerHinted) -> None:
        """Repaint what is stored of the session's mixed streams where somebody was shown as speaking."""
        from_s, until_s = min(hint.from_s for hint in hinted.hints), max(hint.until_s for hint in hinted.hints)
        async with self._store.reading() as tables:
            stored = await tables.transcripts.mixed_between(hinted.session_uid, from_s, until_s)
        for stream_uid, own in groupby(stored, key=lambda segment: segment.stream_uid):
            for message in _messages(list(own), hinted, stream_uid=stream_uid):
                await self._live.publish(message)

    async def aclose(self) -> None:
        """Wait for what is under way."""
        await self._express.aclose()

    async def _take_alone(self, batch: TranscriptCommitted) -> Outcome:
        async with self._store.transaction() as tables:
            stream = await tables.streams.lock(batch.stream_uid)
            if stream is None:
                raise InvalidMessage(f"stream {batch.stream_uid} was never opened")
            owner = await _owner(tables, batch)
            mark = _drop(stream, batch) if owner.is_erased else await _place(tables, stream, owner, batch)
        async with self._store.reading() as tables:
            stored = await tables.transcripts.of_batches(batch.stream_uid, batch.epoch, from_seq=batch.batch_seq)
        is_whole = batch.epoch == mark.epoch  # otherwise a newer epoch has stored more than is shown here
        shown = Shown(from_s=batch.from_s, until_s=mark.until_s, start_s=stream.start_s) if is_whole else None
        messages = _messages(stored, batch, stream_uid=batch.stream_uid)
        await self._live.tell(
            [News(stream_uid=batch.stream_uid, meeting_id=batch.meeting_id, mark=mark, messages=messages, shown=shown)]
        )
        return Outcome.DUPLICATE if owner.is_erased else _outcome(stream, batch)


def _messages(
    segments: Sequence[StoredSegment],
    cause: TranscriptCommitted | StreamAttributed | SpeakerHinted,
    *,
    stream_uid: str,
) -> Sequence[LiveMessage]:
    return of_stored(segments, meeting_id=cause.meeting_id, session_uid=cause.session_uid, stream_uid=stream_uid)


def _drop(stream: Stream, batch: TranscriptCommitted) -> StoredMark:
    """Acknowledge a batch of a deleted meeting, so that its worker lets go of the text."""
    logger.info("batch of a deleted meeting dropped", extra={"stream_uid": stream.stream_uid})
    epoch, until_s = max(stream.epoch, batch.epoch), max(stream.stored_until_s, batch.until_s)
    return StoredMark(epoch=epoch, until_s=until_s)


def _outcome(found: Stream, batch: TranscriptCommitted) -> Outcome:
    """Tell what becomes of a batch of a stream that was found so."""
    if (batch.epoch, batch.batch_seq) < (found.epoch, found.next_batch_seq):
        return Outcome.DUPLICATE
    return Outcome.EARLY if batch.batch_seq > found.next_batch_seq else Outcome.TAKEN


async def _owner(tables: Tables, batch: TranscriptCommitted) -> StreamOwner:
    """Return whose stream it is; raise InvalidMessage where that is not who the batch says."""
    owner = await tables.streams.owner(batch.stream_uid)
    claimed = (batch.session_uid, batch.meeting_id, batch.user_id)
    if owner is None or (owner.session_uid, owner.meeting_id, owner.user_id) != claimed:
        raise InvalidMessage(f"stream {batch.stream_uid} does not belong to meeting {batch.meeting_id}")
    return owner


async def _place(tables: Tables, stream: Stream, owner: StreamOwner, batch: TranscriptCommitted) -> StoredMark:
    mark = StoredMark(epoch=max(stream.epoch, 1), until_s=stream.stored_until_s)
    if batch.epoch > stream.epoch:
        raise InvalidMessage(f"epoch {batch.epoch} of stream {stream.stream_uid} was never opened")
    if batch.epoch < stream.epoch:
        logger.info("fenced batch ignored", extra={"stream_uid": stream.stream_uid, "epoch": batch.epoch})
        return mark
    if batch.batch_seq < stream.next_batch_seq:
        return mark
    if batch.batch_seq > stream.next_batch_seq:
        await tables.batches.hold(batch)
        return mark
    return StoredMark(epoch=stream.epoch, until_s=await _store_run(tables, stream, owner, batch))


async def _store_run(tables: Tables, stream: Stream, owner: StreamOwner, batch: TranscriptCommitted) -> float:
    """Store the batch that is next, and every held one that follows it without a hole; return where they end."""
    edge_s, following = stream.stored_until_s, batch
    while True:
        if not same_instant(following.from_s, edge_s):
            raise InvalidMessage(
                f"batch {following.batch_seq} of stream {stream.stream_uid} starts at {following.from_s} s, "
                f"the stored text ends at {edge_s} s"
            )
        await tables.batches.store(following)
        edge_s = following.until_s
        if not owner.has_held:
            break
        held = await tables.batches.release(stream.stream_uid, stream.epoch, following.batch_seq + 1)
        if held is None:
            break
        following = held
    await tables.streams.advance(stream.stream_uid, stored_until_s=edge_s, next_batch_seq=following.batch_seq + 1)
    return edge_s

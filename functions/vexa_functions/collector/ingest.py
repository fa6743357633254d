"""
Storing committed batches: each once, in order, under its stream's row lock.

The order of effects is what makes nothing get lost: first the text is
committed, then readers see it live, then the stream's mark is raised. A crash
between two of these is healed by the worker, which sends the batch again
until it sees the mark.
"""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime

from vexa_events.errors import InvalidMessage
from vexa_events.fields import same_instant
from vexa_events.identity import segment_id
from vexa_events.lifecycle import StreamAttributed
from vexa_events.live import LiveKind, LiveMessage, LiveSegment, StoredMark
from vexa_events.transcript import TranscriptCommitted
from vexa_functions.live_feed import LiveFeed
from vexa_functions.store.streams import Speaker, Stream
from vexa_functions.store.tables import Store, Tables

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingested:
    """What one delivery led to."""

    visible: tuple[TranscriptCommitted, ...]
    """Batches whose text readers should be shown, in order."""
    mark: StoredMark
    speaker: Speaker


class Ingest:
    """Takes the pool's batches and the bots' attributions."""

    def __init__(self, store: Store, live: LiveFeed) -> None:
        self._store = store
        self._live = live

    async def take_batch(self, batch: TranscriptCommitted) -> None:
        """Store a batch, hold it for its predecessor, or ignore it; acknowledge in every case."""
        async with self._store.transaction() as tables:
            stream = await tables.streams.lock(batch.stream_uid)
            if stream is None:
                raise InvalidMessage(f"stream {batch.stream_uid} was never opened")
            await _check_owner(tables, batch)
            is_erased = await tables.erasure.is_erased(batch.meeting_id)
            visible, mark = _drop(stream, batch) if is_erased else await _place(tables, stream, batch)
            speaker = await tables.streams.speaker(batch.stream_uid)
        ingested = Ingested(visible=visible, mark=mark, speaker=speaker)
        for shown in ingested.visible:
            if shown.segments:
                await self._live.publish(finalized_message(shown, ingested.speaker))
        await self._live.acknowledge(batch.stream_uid, ingested.mark)

    async def take_attribution(self, attribution: StreamAttributed) -> None:
        """Repaint the stream's stored text in the live feed under its new speaker."""
        async with self._store.reading() as tables:
            speaker = await tables.streams.speaker(attribution.stream_uid)
            stored = await tables.transcripts.segments(attribution.meeting_id)
        segments = tuple(
            LiveSegment(
                segment_id=segment_id(segment.stream_uid, segment.epoch, segment.seq),
                stream_uid=segment.stream_uid,
                start_s=segment.start_s,
                end_s=segment.end_s,
                text=segment.text,
                language=segment.language,
                speaker=segment.speaker,
                revision=speaker.revision,
                completed=True,
            )
            for segment in stored
            if segment.stream_uid == attribution.stream_uid
        )
        for first in range(0, len(segments), 200):
            await self._live.publish(
                LiveMessage(
                    kind=LiveKind.FINALIZED,
                    meeting_id=attribution.meeting_id,
                    session_uid=attribution.session_uid,
                    stream_uid=attribution.stream_uid,
                    at=datetime.now(UTC),
                    segments=segments[first : first + 200],
                )
            )


def finalized_message(batch: TranscriptCommitted, speaker: Speaker) -> LiveMessage:
    """Spell a stored batch for the live feed."""
    return LiveMessage(
        kind=LiveKind.FINALIZED,
        meeting_id=batch.meeting_id,
        session_uid=batch.session_uid,
        stream_uid=batch.stream_uid,
        at=datetime.now(UTC),
        segments=tuple(
            LiveSegment(
                segment_id=segment_id(batch.stream_uid, batch.epoch, segment.seq),
                stream_uid=batch.stream_uid,
                start_s=segment.start_s,
                end_s=segment.end_s,
                text=segment.text,
                language=segment.language,
                speaker=segment.speaker or speaker.name,
                revision=speaker.revision,
                completed=True,
            )
            for segment in batch.segments
        ),
    )


def _drop(stream: Stream, batch: TranscriptCommitted) -> tuple[tuple[TranscriptCommitted, ...], StoredMark]:
    """Acknowledge a batch of a deleted meeting, so that its worker lets go of the text."""
    logger.info("batch of a deleted meeting dropped", extra={"stream_uid": stream.stream_uid})
    epoch, until_s = max(stream.epoch, batch.epoch), max(stream.stored_until_s, batch.until_s)
    return (), StoredMark(epoch=epoch, until_s=until_s)


async def _check_owner(tables: Tables, batch: TranscriptCommitted) -> None:
    owner = await tables.streams.owner(batch.stream_uid)
    claimed = (batch.session_uid, batch.meeting_id, batch.user_id)
    if owner is None or (owner.session_uid, owner.meeting_id, owner.user_id) != claimed:
        raise InvalidMessage(f"stream {batch.stream_uid} does not belong to meeting {batch.meeting_id}")


async def _place(
    tables: Tables, stream: Stream, batch: TranscriptCommitted
) -> tuple[tuple[TranscriptCommitted, ...], StoredMark]:
    mark = StoredMark(epoch=max(stream.epoch, 1), until_s=stream.stored_until_s)
    if batch.epoch > stream.epoch:
        raise InvalidMessage(f"epoch {batch.epoch} of stream {stream.stream_uid} was never opened")
    if batch.epoch < stream.epoch:
        logger.info("fenced batch ignored", extra={"stream_uid": stream.stream_uid, "epoch": batch.epoch})
        return (), mark
    if batch.batch_seq < stream.next_batch_seq:
        return (batch,), mark
    if batch.batch_seq > stream.next_batch_seq:
        await tables.batches.hold(batch)
        return (), mark
    stored = await _store_run(tables, stream, batch)
    return stored, StoredMark(epoch=stream.epoch, until_s=stored[-1].until_s)


async def _store_run(tables: Tables, stream: Stream, batch: TranscriptCommitted) -> tuple[TranscriptCommitted, ...]:
    """Store the batch that is next, and every held one that follows it without a hole."""
    stored: list[TranscriptCommitted] = []
    edge_s, following = stream.stored_until_s, batch
    while True:
        if not same_instant(following.from_s, edge_s):
            raise InvalidMessage(
                f"batch {following.batch_seq} of stream {stream.stream_uid} starts at {following.from_s} s, "
                f"the stored text ends at {edge_s} s"
            )
        await tables.batches.store(following)
        stored.append(following)
        edge_s = following.until_s
        held = await tables.batches.release(stream.stream_uid, stream.epoch, following.batch_seq + 1)
        if held is None:
            break
        following = held
    await tables.streams.advance(stream.stream_uid, stored_until_s=edge_s, next_batch_seq=following.batch_seq + 1)
    return tuple(stored)

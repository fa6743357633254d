"""Committed batches: stored once, in order, and those that wait for a predecessor."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import asyncpg

from vexa_events.transcript import TranscriptCommitted
from vexa_functions.store.database import Connection
from vexa_functions.store.streams import Speaker

STORE = """
WITH batch AS (
    INSERT INTO batches (stream_uid, epoch, batch_seq, from_s, until_s) VALUES ($1, $2, $3, $4, $5)
), spans AS (
    INSERT INTO spans (stream_uid, from_s, until_s, kind, reason)
    SELECT $1, s.from_s, s.until_s, s.kind, s.reason
      FROM jsonb_to_recordset($6::jsonb) AS s (from_s float8, until_s float8, kind text, reason text)
)
INSERT INTO segments (stream_uid, epoch, batch_seq, seq, start_s, end_s, text, language, speaker, words, doubts)
SELECT $1, $2, $3, g.seq, g.start_s, g.end_s, g.text, g.language, g.speaker, g.words,
       ARRAY(SELECT jsonb_array_elements_text(g.doubts))
  FROM jsonb_to_recordset($7::jsonb)
    AS g (seq int, start_s float8, end_s float8, text text, language text, speaker text, words jsonb, doubts jsonb)
"""
HOLD = """
INSERT INTO pending_batches (stream_uid, epoch, batch_seq, batch) VALUES ($1, $2, $3, $4)
ON CONFLICT (stream_uid, epoch, batch_seq) DO NOTHING
"""
RELEASE = """
DELETE FROM pending_batches WHERE stream_uid = $1 AND epoch = $2 AND batch_seq = $3 RETURNING batch
"""
STORE_NEXT = """
SELECT next_stream_uid, next_start_s, best_speaker, best_revision FROM store_next_batches($1::text::jsonb)
"""
ENDS_BEHIND = """
SELECT w.stream_uid, max(next.until_s) AS until_s
  FROM unnest($1::text[], $2::float8[]) AS w (stream_uid, behind_s)
 CROSS JOIN LATERAL (
       SELECT b.until_s FROM batches b
        WHERE b.stream_uid = w.stream_uid AND b.until_s > w.behind_s + 0.0005 AND b.stored_at < now() - $3::interval
        ORDER BY b.until_s LIMIT $4) AS next
 GROUP BY w.stream_uid
"""
HELD_LATELY = """
SELECT EXISTS (SELECT FROM pending_batches p JOIN streams st USING (stream_uid)
                WHERE st.session_uid = $1 AND p.received_at > now() - $2::interval)
"""
LOCK_STREAMS = "SELECT stream_uid FROM streams WHERE session_uid = $1 ORDER BY stream_uid FOR UPDATE"
DISCARD_HELD = """
WITH gone AS (
    DELETE FROM pending_batches p USING streams st
     WHERE st.session_uid = $1 AND st.stream_uid = p.stream_uid RETURNING p.stream_uid
), counted AS (SELECT stream_uid, count(*)::integer AS batches FROM gone GROUP BY stream_uid)
UPDATE streams st SET discarded_batches = st.discarded_batches + c.batches
  FROM counted c WHERE c.stream_uid = st.stream_uid
RETURNING st.stream_uid, c.batches
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What a stream's readers need to know beside the batch that was stored."""

    speaker: Speaker
    start_s: float
    """Of the stream."""


class Batches:
    """The batches, spans, segments and pending_batches tables."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def store(self, batch: TranscriptCommitted) -> None:
        """Make a batch's text and spans readable; the caller holds its stream and has checked that it is next."""
        await self._connection.execute(
            STORE,
            batch.stream_uid,
            batch.epoch,
            batch.batch_seq,
            batch.from_s,
            batch.until_s,
            [span.model_dump(mode="json") for span in batch.spans],
            [segment.model_dump(mode="json") for segment in batch.segments],
        )

    async def store_next(self, batches: Sequence[TranscriptCommitted]) -> Mapping[str, Stored]:
        """
        Store, in one transaction of its own, each batch that is the next of a live epoch, and tell which by stream.

        They are of different streams. The others are left as they are: those that come early, late or
        twice, those of a stream that somebody holds or behind which batches wait, those that do not fit
        their stream, and all of them where one breaks a constraint.
        """
        wanted = f"[{','.join(batch.model_dump_json() for batch in batches)}]"
        try:
            rows = await self._connection.fetch(STORE_NEXT, wanted)
        except asyncpg.IntegrityConstraintViolationError:
            return {}
        return {
            row["next_stream_uid"]: Stored(
                speaker=Speaker(name=row["best_speaker"], revision=row["best_revision"]), start_s=row["next_start_s"]
            )
            for row in rows
        }

    async def hold(self, batch: TranscriptCommitted) -> None:
        """Keep a batch unread until its predecessor is stored."""
        key = (batch.stream_uid, batch.epoch, batch.batch_seq)
        await self._connection.execute(HOLD, *key, batch.model_dump(mode="json"))

    async def release(self, stream_uid: str, epoch: int, batch_seq: int) -> TranscriptCommitted | None:
        """Take a held batch out, when there is one."""
        batch = await self._connection.fetchval(RELEASE, stream_uid, epoch, batch_seq)
        return None if batch is None else TranscriptCommitted.model_validate(batch)

    async def ends_behind(
        self, behind_s: Mapping[str, float], *, older_than: timedelta, limit: int
    ) -> dict[str, float]:
        """Tell of each stream that has batches behind a position, stored so long ago, where the next few end."""
        rows = await self._connection.fetch(ENDS_BEHIND, list(behind_s), list(behind_s.values()), older_than, limit)
        return {row["stream_uid"]: row["until_s"] for row in rows}

    async def are_held_lately(self, session_uid: str, *, within: timedelta) -> bool:
        """Tell whether a batch of the session came so lately and waits for its predecessor."""
        return bool(await self._connection.fetchval(HELD_LATELY, session_uid, within))

    async def discard_held(self, session_uid: str) -> dict[str, int]:
        """Give up every batch of a session that waits for a predecessor; count them by stream, here and in its row."""
        await self._connection.execute(LOCK_STREAMS, session_uid)  # on its own, to see what was held meanwhile
        rows = await self._connection.fetch(DISCARD_HELD, session_uid)
        return {row["stream_uid"]: row["batches"] for row in rows}

"""Streams: epochs, the stored prefix, and who speaks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vexa_events.callbacks import Attribution, StreamReport
from vexa_events.fields import at_clock_step
from vexa_events.identity import MeetingId, SessionUid, StreamKind, StreamUid, UserId
from vexa_events.transcript import Word
from vexa_functions.store.database import Connection

ADD = """
INSERT INTO streams (stream_uid, session_uid, kind, start_s, stored_until_s, captured_until_s)
VALUES ($1, $2, $3, $4, $4, $4)
ON CONFLICT (stream_uid) DO NOTHING
"""
LOCK = """
SELECT stream_uid, session_uid, kind, start_s, epoch, next_batch_seq, stored_until_s, captured_until_s
  FROM streams WHERE stream_uid = $1 FOR UPDATE
"""
OWNER = """
SELECT s.session_uid, m.id AS meeting_id, m.user_id, m.deleted_at IS NOT NULL AS is_erased,
       EXISTS (SELECT FROM pending_batches p WHERE p.stream_uid = st.stream_uid) AS has_held
  FROM streams st JOIN sessions s USING (session_uid) JOIN meetings m ON m.id = s.meeting_id
 WHERE st.stream_uid = $1
"""
NEXT_EPOCH = "UPDATE streams SET epoch = epoch + 1, next_batch_seq = 0 WHERE stream_uid = $1 RETURNING epoch"
DISCARD_PENDING = "DELETE FROM pending_batches WHERE stream_uid = $1"
LAST_WORDS = """
SELECT w.value ->> 'text' AS text, (w.value ->> 'start_s')::float8 AS start_s,
       (w.value ->> 'end_s')::float8 AS end_s, (w.value ->> 'probability')::float8 AS probability
  FROM streams st
  JOIN segments g ON g.stream_uid = st.stream_uid AND g.end_s > st.stored_until_s - $2
 CROSS JOIN LATERAL jsonb_array_elements(g.words) AS w
 WHERE st.stream_uid = $1 AND (w.value ->> 'end_s')::float8 > st.stored_until_s - $2
 ORDER BY 2, 3
"""
ADVANCE = "UPDATE streams SET stored_until_s = $2, next_batch_seq = $3 WHERE stream_uid = $1"
ADD_SEVERAL = """
INSERT INTO streams (stream_uid, session_uid, kind, start_s, stored_until_s, captured_until_s)
SELECT w.stream_uid, $1, w.kind, w.start_s, w.start_s, w.start_s
  FROM unnest($2::text[], $3::text[], $4::float8[]) AS w (stream_uid, kind, start_s)
 ORDER BY w.stream_uid
ON CONFLICT (stream_uid) DO NOTHING
"""
REPORT_CAPTURED = """
WITH held AS (
    SELECT stream_uid FROM streams WHERE session_uid = $1 AND stream_uid = ANY ($2::text[])
     ORDER BY stream_uid FOR UPDATE
)
UPDATE streams st SET captured_until_s = greatest(st.captured_until_s, r.captured_until_s)
  FROM held JOIN unnest($2::text[], $3::float8[]) AS r (stream_uid, captured_until_s) USING (stream_uid)
 WHERE st.stream_uid = held.stream_uid
"""
REACH_UNREPORTED = """
UPDATE streams SET captured_until_s = greatest(captured_until_s, $2)
 WHERE session_uid = $1 AND captured_until_s <= start_s
"""
ADD_UNHEARD = """
INSERT INTO streams (stream_uid, session_uid, kind, start_s, stored_until_s, captured_until_s)
SELECT $1 || '.lost', $1, 'mixed', $2, $2, $3
 WHERE NOT EXISTS (SELECT FROM streams WHERE session_uid = $1)
"""
OF_SESSION = """
SELECT st.stream_uid, st.session_uid, st.kind, st.start_s, st.epoch, st.next_batch_seq, st.stored_until_s,
       st.captured_until_s
  FROM streams st WHERE st.session_uid = $1 ORDER BY st.start_s, st.stream_uid
"""
PROGRESS = """
SELECT st.stream_uid, st.session_uid, s.meeting_id, st.epoch, st.start_s, st.stored_until_s
  FROM streams st JOIN sessions s USING (session_uid)
 WHERE st.session_uid = ANY ($1::text[]) AND st.epoch > 0
 ORDER BY st.stream_uid
"""
ATTRIBUTE = """
INSERT INTO attributions (stream_uid, revision, session_uid, speaker, evidence)
SELECT $1, $2, s.session_uid, $4, $5
  FROM sessions s JOIN meetings m ON m.id = s.meeting_id
 WHERE s.session_uid = $3 AND m.deleted_at IS NULL
   FOR SHARE OF m
ON CONFLICT (stream_uid, revision) DO NOTHING
RETURNING stream_uid
"""
SPEAKER = "SELECT speaker, revision FROM attributions WHERE stream_uid = $1 ORDER BY revision DESC LIMIT 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """One participant's (or the mixed) audio for a whole session; times in seconds on the session clock."""

    stream_uid: StreamUid
    session_uid: SessionUid
    kind: StreamKind
    start_s: float
    epoch: int
    next_batch_seq: int
    stored_until_s: float
    captured_until_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a stream is stored; times in seconds on the session clock."""

    stream_uid: StreamUid
    session_uid: SessionUid
    meeting_id: MeetingId
    epoch: int
    start_s: float
    stored_until_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamOwner:
    """Whose stream it is, and what becomes of its batches."""

    session_uid: SessionUid
    meeting_id: MeetingId
    user_id: UserId
    is_erased: bool
    """The meeting was deleted."""
    has_held: bool
    """Batches wait for a predecessor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Speaker:
    """The best known speaker of a stream."""

    name: str | None = None
    revision: int = 0


class Streams:
    """The streams and attributions tables."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def add(self, stream_uid: str, session_uid: str, *, kind: StreamKind, start_s: float) -> None:
        """Add a stream; nothing happens when it exists."""
        await self._connection.execute(ADD, stream_uid, session_uid, kind.value, start_s)

    async def lock(self, stream_uid: str) -> Stream | None:
        """Find a stream and hold its row until the transaction ends."""
        row = await self._connection.fetchrow(LOCK, stream_uid)
        return None if row is None else _stream(row)

    async def owner(self, stream_uid: str) -> StreamOwner | None:
        """Find whose stream it is; the answer holds as long as the caller holds the stream."""
        row = await self._connection.fetchrow(OWNER, stream_uid)
        return None if row is None else StreamOwner(**row)

    async def next_epoch(self, stream_uid: str) -> int:
        """Fence the current epoch of a locked stream, discard what waits for it, and return the new one."""
        await self._connection.execute(DISCARD_PENDING, stream_uid)
        return int(await self._connection.fetchval(NEXT_EPOCH, stream_uid))

    async def last_words(self, stream_uid: str, *, within_s: float) -> tuple[Word, ...]:
        """List the stored words that end less than `within_s` before the end of what is stored, oldest first."""
        rows = await self._connection.fetch(LAST_WORDS, stream_uid, within_s)
        return tuple(Word.model_validate(dict(row)) for row in rows)

    async def advance(self, stream_uid: str, *, stored_until_s: float, next_batch_seq: int) -> None:
        """Move the end of the stored prefix of a locked stream."""
        await self._connection.execute(ADVANCE, stream_uid, stored_until_s, next_batch_seq)

    async def report_captured(self, session_uid: str, reports: tuple[StreamReport, ...]) -> None:
        """Move the ends of capture forward, never back; add streams that are new, leave those of other sessions."""
        new = [(report.stream_uid, report.opening) for report in reports if report.opening is not None]
        if new:
            kinds, starts = [one.kind.value for _, one in new], [at_clock_step(one.start_s) for _, one in new]
            await self._connection.execute(ADD_SEVERAL, session_uid, [uid for uid, _ in new], kinds, starts)
        uids = [report.stream_uid for report in reports]
        ends = [report.captured_until_s for report in reports]
        await self._connection.execute(REPORT_CAPTURED, session_uid, uids, ends)

    async def note_unheard(self, session_uid: str, *, from_s: float, until_s: float) -> None:
        """
        Note that a lost bot was still listening: its streams of which it told nothing yet reach that far.

        Where none is known, one stands for whatever there was to hear.
        """
        from_s, until_s = at_clock_step(from_s), at_clock_step(until_s)
        await self._connection.execute(REACH_UNREPORTED, session_uid, until_s)
        await self._connection.execute(ADD_UNHEARD, session_uid, from_s, until_s)

    async def of_session(self, session_uid: str) -> list[Stream]:
        """List the streams of a session in order of their start."""
        return [_stream(row) for row in await self._connection.fetch(OF_SESSION, session_uid)]

    async def progress(self, session_uids: Sequence[str]) -> list[Progress]:
        """Tell how far the streams of some sessions are stored, those that never had an epoch left out."""
        return [Progress(**row) for row in await self._connection.fetch(PROGRESS, list(session_uids))]

    async def attribute(self, session_uid: str, attribution: Attribution) -> bool:
        """Store an attribution; false when this revision is known or the meeting was deleted."""
        stored = await self._connection.fetchval(
            ATTRIBUTE,
            attribution.stream_uid,
            attribution.revision,
            session_uid,
            attribution.speaker,
            attribution.evidence,
        )
        return stored is not None

    async def speaker(self, stream_uid: str) -> Speaker:
        """Find the best known speaker of a stream."""
        row = await self._connection.fetchrow(SPEAKER, stream_uid)
        return Speaker() if row is None else Speaker(name=row["speaker"], revision=row["revision"])


def _stream(row: Any) -> Stream:
    fields = dict(row)
    return Stream(**{**fields, "kind": StreamKind(fields["kind"])})

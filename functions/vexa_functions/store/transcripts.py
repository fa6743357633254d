"""What readers see: stored segments with their speakers, and the spans behind the coverage ledger."""

from dataclasses import dataclass
from datetime import datetime

from vexa_events.identity import SessionUid, StreamUid
from vexa_functions.store.database import Connection

_SPEAKERS = """
LEFT JOIN LATERAL (
    SELECT a.speaker, a.revision FROM attributions a
     WHERE a.stream_uid = st.stream_uid AND a.session_uid = st.session_uid
     ORDER BY a.revision DESC LIMIT 1
) best ON true
"""
SEGMENTS = f"""
SELECT g.stream_uid, g.epoch, g.seq, g.start_s, g.end_s, g.text, g.language, g.doubts, g.created_at, s.session_uid,
       s.clock_zero_at, coalesce(g.speaker, best.speaker) AS speaker, coalesce(best.revision, 0) AS revision
  FROM sessions s
  JOIN streams st USING (session_uid)
  JOIN segments g USING (stream_uid)
  {_SPEAKERS}
 WHERE s.meeting_id = $1
 ORDER BY s.requested_at, g.start_s, g.stream_uid, g.epoch, g.seq
"""  # noqa: S608 - our own join, no input
STREAMS = f"""
SELECT st.stream_uid, st.session_uid, st.kind, st.start_s, st.stored_until_s, st.captured_until_s,
       best.speaker, s.status, s.finalized_at
  FROM sessions s
  JOIN streams st USING (session_uid)
  {_SPEAKERS}
 WHERE s.meeting_id = $1
 ORDER BY s.requested_at, st.start_s, st.stream_uid
"""  # noqa: S608
SPANS = """
SELECT p.stream_uid, p.from_s, p.until_s, p.kind, p.reason
  FROM sessions s JOIN streams st USING (session_uid) JOIN spans p USING (stream_uid)
 WHERE s.meeting_id = $1
 ORDER BY p.stream_uid, p.from_s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSegment:
    """One stored segment; times in seconds on its session's clock."""

    stream_uid: StreamUid
    epoch: int
    seq: int
    start_s: float
    end_s: float
    text: str
    language: str | None
    doubts: list[str]
    created_at: datetime
    session_uid: SessionUid
    clock_zero_at: datetime | None
    speaker: str | None
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamExtent:
    """How far a stream was captured and stored."""

    stream_uid: StreamUid
    session_uid: SessionUid
    kind: str
    start_s: float
    stored_until_s: float
    captured_until_s: float
    speaker: str | None
    status: str
    """The state of its session."""
    finalized_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSpan:
    """An interval of a stream."""

    stream_uid: StreamUid
    from_s: float
    until_s: float
    kind: str
    reason: str | None


class Transcripts:
    """Reads over sessions, streams, segments and spans of one meeting."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def segments(self, meeting_id: int) -> list[StoredSegment]:
        """List a meeting's segments in order of session and start."""
        return [StoredSegment(**row) for row in await self._connection.fetch(SEGMENTS, meeting_id)]

    async def streams(self, meeting_id: int) -> list[StreamExtent]:
        """List a meeting's streams with their speakers."""
        return [StreamExtent(**row) for row in await self._connection.fetch(STREAMS, meeting_id)]

    async def spans(self, meeting_id: int) -> list[StoredSpan]:
        """List every stored span of a meeting, stream by stream, in order."""
        return [StoredSpan(**row) for row in await self._connection.fetch(SPANS, meeting_id)]

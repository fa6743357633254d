"""What readers see: stored segments with their speakers, and the spans behind the coverage ledger."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from vexa_events.identity import MeetingId, SegmentId, SessionUid, StreamUid, segment_id
from vexa_events.transcript import Word
from vexa_functions.store.database import Connection
from vexa_functions.store.labelling import NEAR_S, Hint, overlapping, pieces

MATCH_START, MATCH_END = "\x01", "\x02"

_SPEAKERS = """
LEFT JOIN LATERAL (
    SELECT a.speaker, a.revision, a.at FROM attributions a
     WHERE a.stream_uid = st.stream_uid AND a.session_uid = st.session_uid
     ORDER BY a.revision DESC LIMIT 1
) best ON true
"""
_SEGMENT_COLUMNS = """
g.stream_uid, g.epoch, g.seq, g.start_s, g.end_s, g.text, g.language, g.doubts, g.created_at, s.session_uid,
s.clock_zero_at, coalesce(g.speaker, best.speaker) AS speaker, coalesce(best.revision, 0) AS revision,
st.kind = 'mixed' AS is_mixed, CASE WHEN st.kind = 'mixed' THEN g.words END AS words
"""
SEGMENTS = f"""
SELECT {_SEGMENT_COLUMNS}
  FROM sessions s
  JOIN streams st USING (session_uid)
  JOIN segments g USING (stream_uid)
  {_SPEAKERS}
 WHERE s.meeting_id = $1
   AND ($2::timestamptz IS NULL OR g.created_at >= $2 OR best.at >= $2 OR (st.kind = 'mixed' AND EXISTS (
       SELECT FROM speaker_hints h
        WHERE h.session_uid = s.session_uid AND h.at >= $2
          AND h.from_s < g.end_s + {NEAR_S} AND h.until_s > g.start_s - {NEAR_S})))
   AND ($3::text IS NULL OR (s.requested_at, g.start_s, g.stream_uid, g.epoch, g.seq) > (
       SELECT s3.requested_at, g3.start_s, g3.stream_uid, g3.epoch, g3.seq
         FROM segments g3 JOIN streams st3 USING (stream_uid) JOIN sessions s3 USING (session_uid)
        WHERE g3.stream_uid = $3 AND g3.epoch = $4 AND g3.seq = $5 AND s3.meeting_id = $1))
 ORDER BY s.requested_at, g.start_s, g.stream_uid, g.epoch, g.seq
 LIMIT $6
"""  # noqa: S608 - our own join, no input
OF_BATCHES = f"""
SELECT {_SEGMENT_COLUMNS}
  FROM segments g
  JOIN streams st USING (stream_uid)
  JOIN sessions s USING (session_uid)
  {_SPEAKERS}
 WHERE g.stream_uid = $1 AND g.epoch = $2 AND g.batch_seq >= $3
 ORDER BY g.seq
"""  # noqa: S608
MIXED_BETWEEN = f"""
SELECT {_SEGMENT_COLUMNS}
  FROM sessions s
  JOIN streams st USING (session_uid)
  JOIN segments g USING (stream_uid)
  {_SPEAKERS}
 WHERE s.session_uid = $1 AND st.kind = 'mixed' AND g.end_s > $2 AND g.start_s < $3
 ORDER BY g.stream_uid, g.epoch, g.seq
"""  # noqa: S608
HINTS = """
SELECT session_uid, from_s, until_s, speaker FROM speaker_hints
 WHERE session_uid = ANY($1::text[]) AND until_s > $2 AND from_s < $3
 ORDER BY from_s, until_s
"""
BETWEEN = f"""
SELECT {_SEGMENT_COLUMNS}
  FROM unnest($1::text[], $2::float8[], $3::float8[]) AS w (stream_uid, from_s, until_s)
  JOIN batches b ON b.stream_uid = w.stream_uid AND b.until_s > w.from_s + 0.0005 AND b.until_s <= w.until_s
  JOIN segments g ON g.stream_uid = b.stream_uid AND g.epoch = b.epoch AND g.batch_seq = b.batch_seq
  JOIN streams st ON st.stream_uid = b.stream_uid
  JOIN sessions s USING (session_uid)
  {_SPEAKERS}
 ORDER BY g.stream_uid, g.start_s, g.epoch, g.seq
"""  # noqa: S608
_FOUND = f"""
SELECT {_SEGMENT_COLUMNS}, m.id AS meeting_id, m.platform, m.native_meeting_id, m.data ->> 'name' AS meeting_name,
       {{headline}} AS headline
  FROM meetings m
  JOIN sessions s ON s.meeting_id = m.id
  JOIN streams st USING (session_uid)
  JOIN segments g USING (stream_uid)
  {_SPEAKERS}
 WHERE m.user_id = $1 AND m.deleted_at IS NULL AND {{match}}
 ORDER BY m.id DESC, g.start_s, g.stream_uid, g.epoch, g.seq
 OFFSET $3 LIMIT $4
"""  # noqa: S608
_OPTIONS = f"'HighlightAll=true, StartSel={MATCH_START}, StopSel={MATCH_END}'"
SEARCH_WORDS = _FOUND.format(
    match="g.searchable @@ websearch_to_tsquery('simple', $2)",
    headline=f"ts_headline('simple', g.text, websearch_to_tsquery('simple', $2), {_OPTIONS})",
)
SEARCH_CHARACTERS = _FOUND.format(
    match="strpos(lower(g.text), lower($2)) > 0",
    headline="NULL",
)
COUNT_SEGMENTS = """
SELECT count(*) FROM sessions s JOIN streams st USING (session_uid) JOIN segments g USING (stream_uid)
 WHERE s.meeting_id = $1
"""
STREAMS = f"""
SELECT st.stream_uid, st.session_uid, st.kind, st.start_s, st.stored_until_s, st.captured_until_s,
       st.discarded_batches, best.speaker, s.status, s.finalized_at, m.reason AS ended_for
  FROM sessions s
  JOIN meetings m ON m.id = s.meeting_id
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
    """Rises when the stream's speaker, or who was shown as speaking, becomes better known."""
    is_mixed: bool = False
    """Whether several people share the stream: the speaker is then the segment's own."""
    word: int = 0
    """Number of its first word, where it is the part of one of several speakers; they share its key."""
    is_hinted: bool = False
    """Whether its speaker was shown as speaking, and is not just the name of the stream."""

    @property
    def segment_id(self) -> SegmentId:
        return segment_id(self.stream_uid, self.epoch, self.seq, word=self.word)

    @property
    def key(self) -> "SegmentKey":
        return SegmentKey(stream_uid=self.stream_uid, epoch=self.epoch, seq=self.seq)


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentKey:
    """Which segment, within one meeting."""

    stream_uid: str
    epoch: int
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundSegment:
    """One segment that matches a search, and the meeting in which it was said."""

    meeting_id: MeetingId
    platform: str
    native_meeting_id: str
    meeting_name: str | None
    parts: Sequence[StoredSegment]
    """One, or one for each of its speakers in a mixed stream."""
    text: str
    headline: str | None
    """The text with each match between MATCH_START and MATCH_END; None where the characters of the query match."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamExtent:
    """How far a stream was captured and stored."""

    stream_uid: StreamUid
    session_uid: SessionUid
    kind: str
    start_s: float
    stored_until_s: float
    captured_until_s: float
    discarded_batches: int
    """Those that waited in vain for a predecessor."""
    speaker: str | None
    status: str
    """The state of its session."""
    finalized_at: datetime | None
    ended_for: str | None
    """The reason for which its meeting ended."""


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

    async def segments(
        self,
        meeting_id: int,
        *,
        since: datetime | None = None,
        after: SegmentKey | None = None,
        limit: int | None = None,
    ) -> list[StoredSegment]:
        """
        List a meeting's segments in order of session and start, those of mixed streams in parts by speaker.

        `since` keeps those stored, or given another speaker, at that time or
        later; `after` those behind a segment, none when it is not of this
        meeting; `limit` counts segments, not parts.
        """
        key = (after.stream_uid, after.epoch, after.seq) if after else (None, None, None)
        return await self._in_parts(await self._connection.fetch(SEGMENTS, meeting_id, since, *key, limit))

    async def of_batches(self, stream_uid: str, epoch: int, *, from_seq: int) -> list[StoredSegment]:
        """List the segments of a stream's epoch from a batch on."""
        return await self._in_parts(await self._connection.fetch(OF_BATCHES, stream_uid, epoch, from_seq))

    async def mixed_between(self, session_uid: str, from_s: float, until_s: float) -> list[StoredSegment]:
        """List the segments of a session's mixed streams whose speakers depend on what was shown in an interval."""
        edges = (from_s - NEAR_S, until_s + NEAR_S)
        return await self._in_parts(await self._connection.fetch(MIXED_BETWEEN, session_uid, *edges))

    async def between(self, extents: Mapping[str, tuple[float, float]]) -> list[StoredSegment]:
        """List, stream by stream, the segments of the batches that end behind a position and not behind another."""
        begins, ends = [begin for begin, _ in extents.values()], [end for _, end in extents.values()]
        return await self._in_parts(await self._connection.fetch(BETWEEN, list(extents), begins, ends))

    async def count_segments(self, meeting_id: int) -> int:
        """Count a meeting's segments."""
        return int(await self._connection.fetchval(COUNT_SEGMENTS, meeting_id))

    async def search_words(self, user_id: int, query: str, *, offset: int, limit: int) -> list[FoundSegment]:
        """Find the segments of a user that have the words of a query, newest meeting first."""
        return await self._found(await self._connection.fetch(SEARCH_WORDS, user_id, query, offset, limit))

    async def search_characters(self, user_id: int, query: str, *, offset: int, limit: int) -> list[FoundSegment]:
        """Find the segments of a user that contain a query as it stands: not every script puts spaces between words."""
        return await self._found(await self._connection.fetch(SEARCH_CHARACTERS, user_id, query, offset, limit))

    async def who_and_what(self, meeting_id: int) -> tuple[list[str], list[str]]:
        """List who spoke in a meeting, and in which languages; whoever is nobody in a mixed stream is left out."""
        said = await self.segments(meeting_id)
        speakers = {each.speaker for each in said if each.speaker and (each.is_hinted or not each.is_mixed)}
        return sorted(speakers), sorted({each.language for each in said if each.language})

    async def streams(self, meeting_id: int) -> list[StreamExtent]:
        """List a meeting's streams with their speakers."""
        return [StreamExtent(**row) for row in await self._connection.fetch(STREAMS, meeting_id)]

    async def spans(self, meeting_id: int) -> list[StoredSpan]:
        """List every stored span of a meeting, stream by stream, in order."""
        return [StoredSpan(**row) for row in await self._connection.fetch(SPANS, meeting_id)]

    async def _found(self, rows: Sequence[Mapping[str, Any]]) -> list[FoundSegment]:
        hints = await self._hints(rows)
        own = ("meeting_id", "platform", "native_meeting_id", "meeting_name", "headline")
        return [
            FoundSegment(
                **{name: row[name] for name in own},
                text=row["text"],
                parts=list(_parts({name: value for name, value in row.items() if name not in own}, hints)),
            )
            for row in rows
        ]

    async def _in_parts(self, rows: Sequence[Mapping[str, Any]]) -> list[StoredSegment]:
        hints = await self._hints(rows)
        return [part for row in rows for part in _parts(dict(row), hints)]

    async def _hints(self, rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Sequence[Hint]]:
        """Read the hints that the words of mixed streams may need, by session."""
        mixed = [row for row in rows if row["is_mixed"]]
        if not mixed:
            return {}
        uids = list({row["session_uid"] for row in mixed})
        from_s, until_s = min(row["start_s"] for row in mixed) - NEAR_S, max(row["end_s"] for row in mixed) + NEAR_S
        by_session: dict[str, list[Hint]] = {uid: [] for uid in uids}
        for row in await self._connection.fetch(HINTS, uids, from_s, until_s):
            by_session[row["session_uid"]].append(
                Hint(from_s=row["from_s"], until_s=row["until_s"], speaker=row["speaker"])
            )
        return by_session


def _parts(fields: dict[str, Any], hints_by_session: Mapping[str, Sequence[Hint]]) -> Iterator[StoredSegment]:
    """Spell a row as one segment, or as one for each speaker."""
    words = [Word.model_validate(word) for word in fields.pop("words") or ()]
    whole = StoredSegment(**fields)
    hints = overlapping(hints_by_session.get(whole.session_uid, ()), whole.start_s - NEAR_S, whole.end_s + NEAR_S)
    whole = replace(whole, revision=whole.revision + len(hints))
    cut = pieces(whole.text, words, hints) if hints else []
    for piece in cut:
        yield replace(
            whole,
            word=piece.word,
            start_s=piece.start_s if piece.word else whole.start_s,
            end_s=whole.end_s if piece is cut[-1] else piece.end_s,
            text=piece.text,
            speaker=piece.speaker or whole.speaker,
            is_hinted=piece.speaker is not None,
        )
    if not cut:
        yield whole

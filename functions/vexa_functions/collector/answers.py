"""What readers are answered: transcripts, their coverage, and what a search found."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from vexa_functions.answers import Answer, MeetingAnswer
from vexa_functions.store.transcripts import MATCH_END, MATCH_START, FoundSegment, StoredSegment


class SegmentAnswer(Answer):
    """One span of speech; `start` and `end` are seconds on the session clock."""

    segment_id: str
    """
    Stable for ever. Of a mixed stream, a segment in which the speaker changes
    comes in parts; all but the first have `.` and a number behind its id.
    """
    stream_uid: str
    session_uid: str
    start: float
    end: float
    text: str
    language: str | None
    speaker: str | None
    revision: int
    """Rises when the speaker becomes better known."""
    mixed: bool = False
    """Whether several people share the stream: the speaker is then this segment's own."""
    completed: bool
    doubts: list[str]
    """Why the text might be wrong."""
    created_at: datetime
    absolute_start_time: datetime | None
    absolute_end_time: datetime | None

    @classmethod
    def of(cls, segment: StoredSegment) -> "SegmentAnswer":
        """Spell a stored segment."""
        return cls(
            segment_id=segment.segment_id,
            stream_uid=segment.stream_uid,
            session_uid=segment.session_uid,
            start=segment.start_s,
            end=segment.end_s,
            text=segment.text,
            language=segment.language,
            speaker=segment.speaker,
            revision=segment.revision,
            mixed=segment.is_mixed,
            completed=True,
            doubts=segment.doubts,
            created_at=segment.created_at,
            absolute_start_time=_absolute(segment.clock_zero_at, segment.start_s),
            absolute_end_time=_absolute(segment.clock_zero_at, segment.end_s),
        )


class MissingAnswer(Answer):
    """An interval without audio or text; `start` and `end` are seconds on the session clock."""

    stream_uid: str
    session_uid: str
    speaker: str | None
    start: float
    end: float
    reason: str


class StreamCoverageAnswer(Answer):
    """The ledger of one stream, in seconds."""

    stream_uid: str
    session_uid: str
    speaker: str | None
    start: float
    captured_until: float
    stored_until: float
    captured_s: float
    speech_s: float
    silence_s: float
    stored_s: float
    pending_s: float
    muted_s: float
    missing_s: float


class CoverageAnswer(Answer):
    """The ledger of a meeting, in seconds: captured is speech, silence, muted, missing and pending together."""

    captured_s: float
    speech_s: float
    silence_s: float
    stored_s: float
    pending_s: float
    muted_s: float
    missing_s: float
    muted: list[MissingAnswer]
    """When participants were shown as muted and no sound came; nothing of it is missing."""
    missing: list[MissingAnswer]
    streams: list[StreamCoverageAnswer]


class TranscriptAnswer(MeetingAnswer):
    """A meeting with what was said."""

    segments: list[SegmentAnswer]
    coverage: CoverageAnswer
    finalized: bool
    """Whether every stream is stored, or will not be."""
    next_cursor: str | None = None
    """Where the next page begins; none on the last one."""


class MeetingsAnswer(Answer):
    """A user's meetings, newest first."""

    meetings: list[MeetingAnswer]


class PieceAnswer(Answer):
    """A piece of a found text."""

    text: str
    match: bool


class FoundAnswer(Answer):
    """One segment that matches, and where it was said."""

    meeting_id: int
    platform: str
    native_meeting_id: str
    meeting_name: str | None
    segment: SegmentAnswer
    highlight: list[PieceAnswer]
    """The text in pieces, with the matches marked."""

    @classmethod
    def of(cls, found: FoundSegment, query: str) -> "FoundAnswer":
        """Spell what a search found."""
        marked = found.headline if found.headline is not None else _mark(found.text, query)
        part, marked = _part_with_match(found.parts, marked)
        return cls(
            meeting_id=found.meeting_id,
            platform=found.platform,
            native_meeting_id=found.native_meeting_id,
            meeting_name=found.meeting_name,
            segment=SegmentAnswer.of(part),
            highlight=_pieces(marked),
        )


class SearchAnswer(Answer):
    """Segments that match, newest meeting first."""

    query: str
    found: list[FoundAnswer]
    has_more: bool


def _absolute(clock_zero_at: datetime | None, position_s: float) -> datetime | None:
    return None if clock_zero_at is None else clock_zero_at + timedelta(seconds=position_s)


def _mark(text: str, query: str) -> str:
    """Mark a query where it stands in a text; a text whose small letters take more room is left unmarked."""
    low, wanted = text.lower(), query.lower()
    if len(low) != len(text):
        return text
    marked, end = [], 0
    while (start := low.find(wanted, end)) >= 0:
        marked += [text[end:start], MATCH_START, text[start : start + len(wanted)], MATCH_END]
        end = start + len(wanted)
    return "".join([*marked, text[end:]])


def _part_with_match(parts: Sequence[StoredSegment], marked: str) -> tuple[StoredSegment, str]:
    """Choose the first part in which something is marked, with its share of the marked text."""
    shares, rest = [], marked
    for part in parts:
        share, rest = _split(rest, len(part.text))
        shares.append((part, share))
    return next((share for share in shares if MATCH_START in share[1]), shares[0])


def _split(marked: str, length: int) -> tuple[str, str]:
    """Cut a marked text behind so many of its characters, spaces in front not counted; a match may be cut in two."""
    position = len(marked) - len(marked.lstrip())
    left, inside = length, False
    while position < len(marked) and left:
        character = marked[position]
        inside = (inside or character == MATCH_START) and character != MATCH_END
        left -= character not in {MATCH_START, MATCH_END}
        position += 1
    if inside and marked[position : position + 1] == MATCH_END:
        position, inside = position + 1, False
    start, end = (MATCH_START, MATCH_END) if inside else ("", "")
    return marked[:position] + end, start + marked[position:]


def _pieces(headline: str) -> list[PieceAnswer]:
    pieces = []
    for number, part in enumerate(headline.split(MATCH_START)):
        match, _, rest = part.partition(MATCH_END) if number else ("", "", part)
        pieces += [PieceAnswer(text=match, match=True), PieceAnswer(text=rest, match=False)]
    return [piece for piece in pieces if piece.text]

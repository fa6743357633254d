"""How stored text is told to those who watch: seeing it twice changes nothing for them."""

from collections.abc import Sequence
from datetime import UTC, datetime

from vexa_events.identity import segment_id
from vexa_events.live import LiveKind, LiveMessage, LiveSegment
from vexa_events.transcript import TranscriptCommitted
from vexa_functions.store.streams import Speaker
from vexa_functions.store.transcripts import StoredSegment

SHOWN_AT_ONCE = 200


def of_stored(
    segments: Sequence[StoredSegment], *, meeting_id: int, session_uid: str, stream_uid: str
) -> Sequence[LiveMessage]:
    """Put stored text of one stream into words."""
    shown = [
        LiveSegment(
            segment_id=segment_id(segment.stream_uid, segment.epoch, segment.seq),
            stream_uid=segment.stream_uid,
            start_s=segment.start_s,
            end_s=segment.end_s,
            text=segment.text,
            language=segment.language,
            speaker=segment.speaker,
            revision=segment.revision,
            completed=True,
        )
        for segment in segments
    ]
    return _messages(shown, meeting_id=meeting_id, session_uid=session_uid, stream_uid=stream_uid)


def of_batch(batch: TranscriptCommitted, speaker: Speaker) -> Sequence[LiveMessage]:
    """Put a batch that was just stored into words; `speaker` is the stream's."""
    shown = [
        LiveSegment(
            segment_id=segment_id(batch.stream_uid, batch.epoch, segment.seq),
            stream_uid=batch.stream_uid,
            start_s=segment.start_s,
            end_s=segment.end_s,
            text=segment.text,
            language=segment.language,
            speaker=segment.speaker if segment.speaker is not None else speaker.name,
            revision=speaker.revision,
            completed=True,
        )
        for segment in batch.segments
    ]
    return _messages(shown, meeting_id=batch.meeting_id, session_uid=batch.session_uid, stream_uid=batch.stream_uid)


def _messages(
    segments: Sequence[LiveSegment], *, meeting_id: int, session_uid: str, stream_uid: str
) -> Sequence[LiveMessage]:
    return [
        LiveMessage(
            kind=LiveKind.FINALIZED,
            meeting_id=meeting_id,
            session_uid=session_uid,
            stream_uid=stream_uid,
            at=datetime.now(UTC),
            segments=tuple(segments[first : first + SHOWN_AT_ONCE]),
        )
        for first in range(0, len(segments), SHOWN_AT_ONCE)
    ]

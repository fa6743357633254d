"""How stored text is told to those who watch: seeing it twice changes nothing for them."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import groupby

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
    whole = groupby(segments, key=lambda segment: segment.key)
    together = [[_live(part) for part in parts] for _, parts in whole]
    return _messages(together, meeting_id=meeting_id, session_uid=session_uid, stream_uid=stream_uid)


def of_batch(batch: TranscriptCommitted, speaker: Speaker) -> Sequence[LiveMessage]:
    """Put a batch of a stream that is one person's, `speaker`'s, into words; it was just stored."""
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
    return _messages(
        [[segment] for segment in shown],
        meeting_id=batch.meeting_id,
        session_uid=batch.session_uid,
        stream_uid=batch.stream_uid,
    )


def _live(segment: StoredSegment) -> LiveSegment:
    return LiveSegment(
        segment_id=segment.segment_id,
        stream_uid=segment.stream_uid,
        start_s=segment.start_s,
        end_s=segment.end_s,
        text=segment.text,
        language=segment.language,
        speaker=segment.speaker,
        revision=segment.revision,
        mixed=segment.is_mixed,
        completed=True,
    )


def _messages(
    together: Iterable[Sequence[LiveSegment]], *, meeting_id: int, session_uid: str, stream_uid: str
) -> Sequence[LiveMessage]:
    """Fill messages; the parts of one segment share one, since they replace those that were shown before."""
    pages: list[list[LiveSegment]] = []
    for parts in together:
        if not pages or len(pages[-1]) + len(parts) > SHOWN_AT_ONCE:
            pages.append([])
        pages[-1].extend(parts)
    return [
        LiveMessage(
            kind=LiveKind.FINALIZED,
            meeting_id=meeting_id,
            session_uid=session_uid,
            stream_uid=stream_uid,
            at=datetime.now(UTC),
            segments=tuple(page),
        )
        for page in pages
    ]

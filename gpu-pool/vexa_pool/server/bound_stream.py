"""A stream that is stored: its batches are published, its hypotheses shown to readers."""

from collections.abc import Callable, Sequence
from datetime import datetime

from vexa_events.errors import Conflict, Forbidden, InvalidMessage
from vexa_events.identity import segment_id
from vexa_events.live import LiveKind, LiveMessage, LiveSegment
from vexa_events.session_token import SessionClaims, verify_session_token
from vexa_events.stream import REPLAY_S, Binding
from vexa_events.transcript import Segment, TranscriptCommitted
from vexa_pool.server.publishing import Publication
from vexa_pool.server.valkey import LiveFeed
from vexa_pool.streaming.batches import CommittedBatch
from vexa_pool.streaming.session import Update
from vexa_pool.streaming.transcript import Hypothesis

MOST_SHOWN = 20
"""Committed segments shown beside the hypothesis until they are stored."""
WallClock = Callable[[], datetime]


def check_binding(binding: Binding, *, key: str) -> SessionClaims:
    """Return the claims behind a binding; raise the error that refuses it."""
    claims = verify_session_token(binding.token, key=key)
    if claims.session_uid != binding.session_uid:
        raise Forbidden(f"the token is not for session {binding.session_uid}")
    if not binding.from_s - REPLAY_S - 0.001 <= binding.audio_from_s:
        raise InvalidMessage(f"audio starts at {binding.audio_from_s} s, over {REPLAY_S} s before {binding.from_s} s")
    return claims


class BoundStream:
    """One epoch of a stored stream."""

    def __init__(
        self, binding: Binding, claims: SessionClaims, publication: Publication, feed: LiveFeed, *, now: WallClock
    ) -> None:
        self.publication = publication
        self._binding = binding
        self._claims = claims
        self._feed = feed
        self._now = now
        self._is_shown = True

    @property
    def tenant(self) -> str:
        """The user whose meeting this is."""
        return str(self._claims.user_id)

    @property
    def facts(self) -> dict[str, str | int | float]:
        """Say which epoch of which stream this is, as spans do."""
        return {
            "vexa.meeting_id": self._claims.meeting_id,
            "vexa.session_uid": self._binding.session_uid,
            "vexa.stream_uid": self._binding.stream_uid,
            "vexa.epoch": self._binding.epoch,
            "vexa.from_s": self._binding.from_s,
        }

    @property
    def fence(self) -> Conflict | None:
        """The error that ends the stream where a newer epoch has taken over."""
        if not self.publication.pending.is_fenced:
            return None
        return Conflict(f"epoch {self._binding.epoch} of stream {self._binding.stream_uid} is no longer the newest")

    def name_segment(self, seq: int) -> str:
        """Return a segment's public id."""
        return segment_id(self._binding.stream_uid, self._binding.epoch, seq)

    def publish(self, batches: Sequence[CommittedBatch]) -> None:
        """Hand decided intervals to the sink."""
        for batch in batches:
            self.publication.add(self._event_data(batch))

    def stop_showing(self) -> None:
        """
        Show nothing further: the bot is gone.

        Its meeting may be deleted from here on, and nobody would take away
        what came later. What is committed reaches readers once it is stored.
        """
        self._is_shown = False

    def show(self, update: Update) -> None:
        """Put the latest words before the readers: what is committed and not yet stored, then what is open."""
        if not self._is_shown:
            return
        fresh = {segment.seq: segment for segment in self.publication.pending.segments(MOST_SHOWN)}
        fresh |= {segment.seq: segment for segment in update.committed}
        segments = [self._committed(segment) for _, segment in sorted(fresh.items())]
        if update.hypothesis is not None:
            segments.append(self._open(update.hypothesis))
        message = LiveMessage(
            kind=LiveKind.MUTABLE,
            meeting_id=self._claims.meeting_id,
            session_uid=self._binding.session_uid,
            at=self._now(),
            stream_uid=self._binding.stream_uid,
            segments=tuple(segments),
        )
        self._feed.offer(self._binding.stream_uid, message)

    def _event_data(self, batch: CommittedBatch) -> TranscriptCommitted:
        return TranscriptCommitted(
            meeting_id=self._claims.meeting_id,
            user_id=self._claims.user_id,
            session_uid=self._binding.session_uid,
            stream_uid=self._binding.stream_uid,
            epoch=self._binding.epoch,
            batch_seq=batch.batch_seq,
            from_s=batch.from_s,
            until_s=batch.until_s,
            spans=batch.spans,
            segments=batch.segments,
        )

    def _committed(self, segment: Segment) -> LiveSegment:
        return LiveSegment(
            segment_id=self.name_segment(segment.seq),
            stream_uid=self._binding.stream_uid,
            start_s=segment.start_s,
            end_s=segment.end_s,
            text=segment.text,
            language=segment.language,
            speaker=self._binding.speaker,
            completed=True,
        )

    def _open(self, hypothesis: Hypothesis) -> LiveSegment:
        return LiveSegment(
            segment_id=self.name_segment(hypothesis.seq),
            stream_uid=self._binding.stream_uid,
            start_s=hypothesis.start_s,
            end_s=hypothesis.end_s,
            text=hypothesis.text,
            speaker=self._binding.speaker,
            completed=False,
        )

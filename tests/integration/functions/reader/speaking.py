"""A meeting in which something was said."""

from dataclasses import dataclass
from datetime import UTC, datetime

from vexa_events.callbacks import Attribution
from vexa_events.identity import BotStatus, StreamKind, Task
from vexa_events.transcript import Segment, Span, SpanKind, TranscriptCommitted, Word
from vexa_functions.store.tables import Store

AT = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
STANDUP = "/transcripts/replay/standup"


@dataclass
class Spoken:
    """A meeting in the database whose lines are a second each."""

    store: Store
    user_id: int
    meeting_id: int
    session_uid: str

    @property
    def stream_uid(self) -> str:
        return f"{self.session_uid}.0"

    def batch(self, seq: int, text: str | None, *, kind: SpanKind = SpanKind.SPEECH) -> TranscriptCommitted:
        from_s, until_s = float(seq), float(seq + 1)
        word = text and Word(text=text, start_s=from_s + 0.1, end_s=until_s - 0.1)
        segment = word and Segment(
            seq=seq, start_s=word.start_s, end_s=word.end_s, text=word.text, language="en", words=(word,)
        )
        reason = "overload" if kind is SpanKind.MISSING else None
        return TranscriptCommitted(
            meeting_id=self.meeting_id,
            user_id=self.user_id,
            session_uid=self.session_uid,
            stream_uid=self.stream_uid,
            epoch=1,
            batch_seq=seq,
            from_s=from_s,
            until_s=until_s,
            spans=(Span(from_s=from_s, until_s=until_s, kind=kind, reason=reason),),
            segments=(segment,) if segment else (),
        )

    async def say(self, *texts: str, speaker: str = "Maya") -> None:
        """Store a line after another, and who says them."""
        async with self.store.transaction() as tables:
            await tables.streams.add(self.stream_uid, self.session_uid, kind=StreamKind.PARTICIPANT, start_s=0.0)
            await tables.streams.next_epoch(self.stream_uid)
            for seq, text in enumerate(texts):
                await tables.batches.store(self.batch(seq, text))
            await tables.streams.advance(self.stream_uid, stored_until_s=len(texts), next_batch_seq=len(texts))
            attribution = Attribution(stream_uid=self.stream_uid, speaker=speaker, revision=1, evidence="name tag")
            await tables.streams.attribute(self.session_uid, attribution)

    async def end(self) -> None:
        async with self.store.transaction() as tables:
            session = await tables.sessions.lock(self.session_uid)
            assert session is not None
            why = {"reason": "stopped", "evidence": "Ann said so"}
            await tables.sessions.enter(session, BotStatus.COMPLETED, at=AT, **why)
            await tables.meetings.set_status(self.meeting_id, BotStatus.COMPLETED, at=AT, **why)


async def a_meeting(store: Store, user_id: int, name: str = "standup", *, url: str | None = None) -> Spoken:
    """Write a meeting with its session."""
    async with store.transaction() as tables:
        meeting = await tables.meetings.insert(user_id, platform="replay", native_meeting_id=name, meeting_url=url)
        uid = f"session{meeting.id}"
        await tables.sessions.insert(
            uid, meeting.id, bot_name="Ann's bot", language=None, task=Task.TRANSCRIBE, passcode="secret"
        )
    return Spoken(store=store, user_id=user_id, meeting_id=meeting.id, session_uid=uid)

"""What bots tell us, under their session's token."""

from datetime import UTC, datetime, timedelta

from vexa_events.callbacks import (
    Attribution,
    Command,
    CommandKind,
    EpochOpened,
    Heartbeat,
    HeartbeatAnswer,
    OpenEpoch,
    SpeakerHints,
    StatusReport,
)
from vexa_events.errors import Forbidden, InvalidMessage
from vexa_events.fields import at_clock_step
from vexa_events.identity import BotStatus
from vexa_events.lifecycle import SpeakerHinted, StreamAttributed
from vexa_events.live import StoredMark
from vexa_events.registry import attributed_event, hinted_event
from vexa_events.session_token import SessionClaims, renewed_session_token
from vexa_events.tracing import within
from vexa_functions.bots.announcing import Announcer
from vexa_functions.bots.lifecycle import enter
from vexa_functions.live_feed import LiveFeed, News
from vexa_functions.store.sessions import Session
from vexa_functions.store.tables import Store, Tables

LAST_WORDS_S = 6.0
"""How far back the words go that a worker gets to find its place: well past what is replayed."""


class BotCallbacks:
    """Serves the bots of running sessions."""

    def __init__(
        self, store: Store, live: LiveFeed, announcer: Announcer, *, signing_key: str, session_lifetime: timedelta
    ) -> None:
        """`session_lifetime` is how long a renewed token lasts."""
        self._store = store
        self._live = live
        self._announcer = announcer
        self._signing_key = signing_key
        self._session_lifetime = session_lifetime

    async def open_epoch(self, claims: SessionClaims, wanted: OpenEpoch) -> EpochOpened:
        """Fence the stream's older epochs and tell where to go on."""
        async with self._store.transaction() as tables:
            await _hold_running(tables, claims)
            await tables.streams.add(
                wanted.stream_uid, claims.session_uid, kind=wanted.kind, start_s=at_clock_step(wanted.start_s)
            )
            stream = await tables.streams.lock(wanted.stream_uid)
            if stream is None or stream.session_uid != claims.session_uid:
                raise Forbidden(f"stream {wanted.stream_uid} belongs to another session")
            epoch = await tables.streams.next_epoch(wanted.stream_uid)
            last_words = await tables.streams.last_words(wanted.stream_uid, within_s=LAST_WORDS_S)
        mark = StoredMark(epoch=epoch, until_s=stream.stored_until_s)
        await self._live.tell([News(stream_uid=wanted.stream_uid, meeting_id=claims.meeting_id, mark=mark)])
        return EpochOpened(epoch=epoch, resume_from_s=stream.stored_until_s, last_words=last_words)

    async def heartbeat(self, claims: SessionClaims, beat: Heartbeat, *, token: str) -> HeartbeatAnswer:
        """Note how far capture is, and answer with the orders in force, and with a new token when it is time."""
        async with self._store.transaction() as tables:
            session = await _of(tables, claims)
            await tables.sessions.beat(session.session_uid)
            await tables.streams.report_captured(session.session_uid, beat.streams)
        return HeartbeatAnswer(commands=commands_for(session), token=self._renewed(session, token))

    def _renewed(self, session: Session, token: str) -> str | None:
        if session.status.is_terminal:
            return None
        return renewed_session_token(
            token, key=self._signing_key, now=datetime.now(UTC), lifetime=self._session_lifetime
        )

    async def report_status(self, claims: SessionClaims, report: StatusReport) -> None:
        """Enter the reported state, when it may follow the one we know."""
        async with self._store.transaction() as tables:
            session = await tables.sessions.lock(claims.session_uid)
            if session is None:
                raise Forbidden("session is unknown")
            await tables.sessions.beat(session.session_uid)
            await tables.streams.report_captured(session.session_uid, report.streams)
            if report.status is BotStatus.ACTIVE:  # the clock's zero counts even when an order to leave overtook it
                await tables.sessions.start_clock(session.session_uid, report.at)
                await tables.meetings.start(session.meeting_id, report.at)
            entered = await enter(
                tables, session, report.status, at=report.at, reason=report.reason, evidence=report.evidence
            )
        if entered:
            await self._announcer.announce(session.session_uid, session.meeting_id, report.status)

    async def attribute(self, claims: SessionClaims, attribution: Attribution) -> None:
        """Store who speaks in a stream."""
        async with self._store.transaction() as tables:
            session = await _of(tables, claims)
            if not attribution.stream_uid.startswith(session.session_uid):
                raise InvalidMessage("stream_uid: must start with the session's uid")
            if await tables.streams.attribute(session.session_uid, attribution):
                event = attributed_event(_attributed(session, attribution))
                await tables.outbox.add(event.traced(within(session.trace)))
        await self._announcer.drain()

    async def hint(self, claims: SessionClaims, told: SpeakerHints) -> None:
        """Store who was shown as speaking."""
        async with self._store.transaction() as tables:
            session = await _of(tables, claims)
            if await tables.hints.add(session.session_uid, told):
                await tables.outbox.add(hinted_event(_hinted(session, told)).traced(within(session.trace)))
        await self._announcer.drain()


def commands_for(session: Session) -> tuple[Command, ...]:
    """List the orders that hold for a session as it is stored."""
    if session.stop_requested_at is not None or session.status.is_terminal:
        return (Command(kind=CommandKind.LEAVE, reason="stopped_by_user"),)
    if session.reconfigured_at is not None:
        return (Command(kind=CommandKind.RECONFIGURE, language=session.language, task=session.task),)
    return ()


def _attributed(session: Session, attribution: Attribution) -> StreamAttributed:
    return StreamAttributed(
        meeting_id=session.meeting_id,
        user_id=session.user_id,
        session_uid=session.session_uid,
        stream_uid=attribution.stream_uid,
        speaker=attribution.speaker,
        revision=attribution.revision,
        evidence=attribution.evidence,
    )


def _hinted(session: Session, told: SpeakerHints) -> SpeakerHinted:
    return SpeakerHinted(
        meeting_id=session.meeting_id,
        user_id=session.user_id,
        session_uid=session.session_uid,
        evidence=told.evidence,
        hints=told.hints,
    )


async def _of(tables: Tables, claims: SessionClaims) -> Session:
    session = await tables.sessions.by_uid(claims.session_uid)
    if session is None:
        raise Forbidden("session is unknown")
    return session


async def _hold_running(tables: Tables, claims: SessionClaims) -> None:
    """Let the session not end before the transaction does; raise Forbidden where it has ended."""
    status = await tables.sessions.hold(claims.session_uid)
    if status is None:
        raise Forbidden("session is unknown")
    if status.is_terminal:
        raise Forbidden(f"session has ended ({status.value})")

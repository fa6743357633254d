"""Declaring the storage of ended sessions complete: at the bot's last word, and on every tick."""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from vexa_events.fields import reaches
from vexa_events.lifecycle import MeetingFinalized
from vexa_events.registry import finalized_event
from vexa_events.tracing import current, span
from vexa_functions.collector.coverage import coverage, totals_of
from vexa_functions.collector.standing import tell
from vexa_functions.relay import Relay
from vexa_functions.store.sessions import Session
from vexa_functions.store.tables import Store, Tables

logger = logging.getLogger(__name__)

SWEEP_LIMIT = 100


class Finalizer:
    """Finds ended sessions whose streams are stored, or will not be, and says so once."""

    def __init__(self, store: Store, relay: Relay, *, timeout_s: float) -> None:
        self._store = store
        self._relay = relay
        self._timeout = timedelta(seconds=timeout_s)

    async def sweep(self) -> None:
        """Finalize every session that is due, then publish what the outbox holds."""
        async with self._store.reading() as tables:
            due = await tables.sessions.to_finalize(limit=SWEEP_LIMIT)
        now = await self._store.now()
        for session in due:
            await self._finalize(session, now=now)
        async with self._store.reading() as tables:
            tell(await tables.coverage_totals.read())
        await self._relay.drain()

    async def _finalize(self, session: Session, *, now: datetime) -> None:
        async with self._store.transaction() as tables:
            await tables.sessions.lock(session.session_uid)
            if not (await _is_stored(tables, session) or await self._timed_out(tables, session, now)):
                return
            is_new = await tables.sessions.set_finalized(session.session_uid)
            if discarded := await tables.batches.discard_held(session.session_uid):
                counts = {"streams": len(discarded), "batches": sum(discarded.values())}
                logger.warning("early batches discarded", extra={"session_uid": session.session_uid, **counts})
            if is_new and not await tables.erasure.is_erased(session.meeting_id):
                await _note_participants(tables, session)
                await _tell(tables, session)
                logger.info("session finalized", extra={"session_uid": session.session_uid})

    async def _timed_out(self, tables: Tables, session: Session, now: datetime) -> bool:
        """Tell whether nothing came for so long; a batch that came early lets its predecessor be waited for anew."""
        if session.end_noted_at is None or now - session.end_noted_at <= self._timeout:
            return False
        return not await tables.batches.are_held_lately(session.session_uid, within=self._timeout)


async def _tell(tables: Tables, session: Session) -> None:
    about: dict[str, str | int] = {"vexa.meeting_id": session.meeting_id, "vexa.session_uid": session.session_uid}
    with span("finalize session", trace=session.trace, attributes=about):
        streams = await tables.transcripts.streams(session.meeting_id)
        ledger = coverage(streams, await tables.transcripts.spans(session.meeting_id))
        summary = _summary(session, ledger, segments=await tables.transcripts.count_segments(session.meeting_id))
        await tables.outbox.add(finalized_event(summary).traced(current()))
        await tables.coverage_totals.add(totals_of(ledger, session.session_uid))


async def _note_participants(tables: Tables, session: Session) -> None:
    """Write down who spoke, and in which languages, unless the user has."""
    speakers, languages = await tables.transcripts.who_and_what(session.meeting_id)
    noted = {"participants": speakers, "languages": languages}
    await tables.meetings.fill_data(session.meeting_id, {name: values for name, values in noted.items() if values})


async def _is_stored(tables: Tables, session: Session) -> bool:
    streams = await tables.streams.of_session(session.session_uid)
    return all(reaches(stream.stored_until_s, stream.captured_until_s) for stream in streams)


def _summary(session: Session, ledger: Mapping[str, Any], *, segments: int) -> MeetingFinalized:
    return MeetingFinalized(
        meeting_id=session.meeting_id,
        user_id=session.user_id,
        session_uid=session.session_uid,
        platform=session.platform,
        native_meeting_id=session.native_meeting_id,
        status=session.status,
        segments=segments,
        captured_s=ledger["captured_s"],
        missing_s=ledger["missing_s"],
        at=datetime.now(UTC),
    )

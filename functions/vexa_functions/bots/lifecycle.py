"""Which state may follow which, and what entering one writes."""

from datetime import datetime

from vexa_events.identity import BotStatus
from vexa_events.lifecycle import BotStatusChanged
from vexa_events.registry import bot_event
from vexa_events.tracing import current, span
from vexa_functions.store.sessions import Session
from vexa_functions.store.tables import Tables

_RANK = {status: rank for rank, status in enumerate(BotStatus)}


def may_follow(current: BotStatus, following: BotStatus) -> bool:
    """Tell whether a session may go on to a state: forward only, and never out of an ended one."""
    return not current.is_terminal and _RANK[following] > _RANK[current]


async def enter(
    tables: Tables,
    session: Session,
    status: BotStatus,
    *,
    at: datetime,
    reason: str | None = None,
    evidence: str | None = None,
) -> bool:
    """Write a state of a locked session, its meeting and its event, when it may follow; tell whether it did."""
    if not may_follow(session.status, status):
        return False
    sequence = await tables.sessions.enter(session, status, reason=reason, evidence=evidence, at=at)
    await tables.meetings.set_status(session.meeting_id, status, reason=reason, evidence=evidence, at=at)
    change = BotStatusChanged(
        meeting_id=session.meeting_id,
        user_id=session.user_id,
        session_uid=session.session_uid,
        platform=session.platform,
        native_meeting_id=session.native_meeting_id,
        status=status,
        sequence=sequence,
        reason=reason,
        evidence=evidence,
        at=at,
    )
    with span(f"enter {status.value}", trace=session.trace, attributes=_about(change)):
        await tables.outbox.add(bot_event(change).traced(current()))
    return True


def _about(change: BotStatusChanged) -> dict[str, str | int]:
    return {
        "vexa.meeting_id": change.meeting_id,
        "vexa.session_uid": change.session_uid,
        "vexa.status": change.status.value,
        "vexa.reason": change.reason or "",
    }

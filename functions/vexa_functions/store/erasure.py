"""Erasing what a meeting said, and who was there; what stays are numbers and times."""

from vexa_functions.store.database import Connection

LOCK_SESSIONS = "SELECT session_uid FROM sessions WHERE meeting_id = $1 ORDER BY session_uid FOR UPDATE"
LOCK_STREAMS = """
SELECT st.stream_uid FROM sessions s JOIN streams st USING (session_uid)
 WHERE s.meeting_id = $1 ORDER BY st.stream_uid FOR UPDATE OF st
"""
ANONYMISE_MEETING = """
UPDATE meetings
   SET native_meeting_id = '', meeting_url = NULL, data = '{}', evidence = NULL, deleted_at = now(), deleted_mark = $2,
       idempotency_key = NULL, idempotency_hash = NULL, updated_at = now()
 WHERE id = $1
"""
ANONYMISE_SESSIONS = "UPDATE sessions SET bot_name = '', passcode = NULL, trace = NULL WHERE meeting_id = $1"
ANONYMISE_TRANSITIONS = """
UPDATE transitions SET evidence = NULL WHERE session_uid IN (SELECT session_uid FROM sessions WHERE meeting_id = $1)
"""
ERASE_SEGMENTS = "DELETE FROM segments WHERE stream_uid = ANY($1::text[])"
ERASE_PENDING = "DELETE FROM pending_batches WHERE stream_uid = ANY($1::text[])"
ERASE_ATTRIBUTIONS = """
DELETE FROM attributions WHERE session_uid IN (SELECT session_uid FROM sessions WHERE meeting_id = $1)
"""
ERASE_HINTS = """
DELETE FROM speaker_hints WHERE session_uid IN (SELECT session_uid FROM sessions WHERE meeting_id = $1)
"""
ERASE_EVENTS = "DELETE FROM outbox WHERE event -> 'data' ->> 'meeting_id' = $1::bigint::text"
ERASE_DEAD_LETTERS = "DELETE FROM dead_letters WHERE event -> 'data' ->> 'meeting_id' = $1::bigint::text"
ERASE_DELIVERIES = """
WITH held AS (SELECT id FROM webhook_deliveries WHERE meeting_id = $1 ORDER BY id FOR UPDATE)
DELETE FROM webhook_deliveries d USING held WHERE d.id = held.id
"""
HOLD = "SELECT 1 FROM meetings WHERE id = $1 FOR NO KEY UPDATE"
IS_ERASED = "SELECT deleted_at IS NOT NULL FROM meetings WHERE id = $1"


class Erasure:
    """Deletions that span the tables of one meeting."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def erase(self, meeting_id: int, *, deleted_mark: bytes) -> None:
        """
        Erase a meeting's words and names and mark it deleted.

        The rows of its streams are held to the end of the transaction: a batch
        that is being stored is stored before, and erased, or finds the meeting
        deleted.
        """
        await self._connection.execute(ANONYMISE_MEETING, meeting_id, deleted_mark)
        await self._connection.execute(LOCK_SESSIONS, meeting_id)
        streams = [row["stream_uid"] for row in await self._connection.fetch(LOCK_STREAMS, meeting_id)]
        await self._connection.execute(ERASE_SEGMENTS, streams)
        await self._connection.execute(ERASE_PENDING, streams)
        for statement in (ERASE_ATTRIBUTIONS, ERASE_HINTS, ANONYMISE_SESSIONS, ANONYMISE_TRANSITIONS):
            await self._connection.execute(statement, meeting_id)
        await self._connection.execute(ERASE_EVENTS, meeting_id)
        await self._connection.execute(ERASE_DEAD_LETTERS, meeting_id)
        await self._connection.execute(ERASE_DELIVERIES, meeting_id)

    async def hold(self, meeting_id: int) -> None:
        """Let nobody erase the meeting before the end of the transaction."""
        await self._connection.execute(HOLD, meeting_id)

    async def is_erased(self, meeting_id: int) -> bool:
        """Tell whether the meeting was deleted."""
        return bool(await self._connection.fetchval(IS_ERASED, meeting_id))

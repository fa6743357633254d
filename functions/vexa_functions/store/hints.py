"""Who was shown as speaking in a session, and when."""

from vexa_events.callbacks import SpeakerHints
from vexa_functions.store.database import Connection

ADD = """
INSERT INTO speaker_hints (session_uid, seq, from_s, until_s, speaker, evidence)
SELECT s.session_uid, h.seq, h.from_s, h.until_s, h.speaker, $3
  FROM sessions s
  JOIN meetings m ON m.id = s.meeting_id
 CROSS JOIN jsonb_to_recordset($2::jsonb) AS h (seq int, from_s float8, until_s float8, speaker text)
 WHERE s.session_uid = $1 AND m.deleted_at IS NULL
   FOR SHARE OF m
ON CONFLICT (session_uid, seq) DO NOTHING
RETURNING seq
"""


class Hints:
    """The speaker_hints table; `transcripts` joins it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def add(self, session_uid: str, told: SpeakerHints) -> bool:
        """Store hints; false when all of them are known or the meeting was deleted."""
        hints = [hint.model_dump(mode="json") for hint in told.hints]
        return bool(await self._connection.fetch(ADD, session_uid, hints, told.evidence))

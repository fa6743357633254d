"""What is left to do in the database: zero everywhere once every meeting has come to rest."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from vexa_functions.store.database import Connection

COUNT = """
WITH own AS (SELECT session_uid, status, finalized_at FROM sessions WHERE meeting_id = ANY($1::bigint[]))
SELECT (SELECT count(*) FROM own WHERE status NOT IN ('completed', 'failed')) AS running_sessions,
       (SELECT count(*) FROM own WHERE finalized_at IS NULL) AS unfinalized_sessions,
       (SELECT count(*) FROM meetings
         WHERE id = ANY($1::bigint[]) AND status NOT IN ('completed', 'failed')) AS running_meetings,
       (SELECT count(*) FROM pending_batches p JOIN streams USING (stream_uid) JOIN own USING (session_uid))
           AS pending_batches,
       (SELECT count(*) FROM webhook_deliveries WHERE meeting_id = ANY($1::bigint[]) AND status = 'pending')
           AS pending_webhooks,
       (SELECT count(*) FROM outbox WHERE published_at IS NULL AND refused IS NULL) AS unpublished_events,
       (SELECT count(*) FROM outbox WHERE refused IS NOT NULL) AS refused_events
"""
STANDING = """
SELECT 'outbox' AS what, CASE WHEN refused IS NULL THEN 'waiting' ELSE 'refused' END AS state, count(*) AS number
  FROM outbox WHERE published_at IS NULL GROUP BY 2
 UNION ALL
SELECT 'dead letters', '', count(*) FROM dead_letters WHERE redriven_at IS NULL
 UNION ALL
SELECT 'bots', status, count(*) FROM sessions WHERE ended_at IS NULL GROUP BY status
"""
COUNT_BATCHES = "SELECT count(*) FROM batches"
TABLES = """
SELECT table_name, format('SELECT count(*) FROM %I AS t WHERE t::text LIKE %L', table_name, '%' || $1 || '%') AS look
  FROM information_schema.tables
 WHERE table_schema = current_schema() AND table_type = 'BASE TABLE' AND table_name <> ALL($2::text[])
"""
NUMBERS_AND_TIMES = ("batches", "sessions", "spans", "streams", "transitions")
"""Tables that keep rows of a deleted meeting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsettled:
    """How many rows wait for something; of meetings and sessions only those asked about count."""

    running_sessions: int
    unfinalized_sessions: int
    running_meetings: int
    pending_batches: int
    pending_webhooks: int
    unpublished_events: int
    refused_events: int

    @property
    def counts(self) -> dict[str, int]:
        """Name what is not zero."""
        return {name: count for name, count in asdict(self).items() if count}


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What somebody who looks after an installation watches."""

    outbox: dict[str, int]
    """Events that are not published, by whether they wait or were refused."""
    dead_letters: int
    bots: dict[str, int]
    """Sessions that have not ended, by status."""


class Census:
    """Counts over several tables."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def unsettled(self, meeting_ids: Sequence[int]) -> Unsettled:
        """Count what has not come to rest."""
        return Unsettled(**await self._connection.fetchrow(COUNT, list(meeting_ids)))

    async def standing(self) -> Standing:
        """Count what is watched."""
        rows = await self._connection.fetch(STANDING)
        numbers = {(row["what"], row["state"]): int(row["number"]) for row in rows}
        return Standing(
            outbox={state: numbers.get(("outbox", state), 0) for state in ("waiting", "refused")},
            dead_letters=numbers["dead letters", ""],
            bots={state: number for (what, state), number in numbers.items() if what == "bots"},
        )

    async def stored_batches(self) -> int:
        """Count every batch that is stored."""
        return int(await self._connection.fetchval(COUNT_BATCHES))

    async def remains(self, session_uid: str) -> dict[str, int]:
        """Count, by table, the rows that still name a session whose meeting was deleted."""
        looks = await self._connection.fetch(TABLES, session_uid, list(NUMBERS_AND_TIMES))
        counts = {row["table_name"]: int(await self._connection.fetchval(row["look"])) for row in looks}
        return {table: count for table, count in counts.items() if count}

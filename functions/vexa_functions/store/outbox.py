"""The outbox: events written in the transaction of the fact they tell, published afterwards."""

import json
from datetime import timedelta

from vexa_events.envelope import Event, encode_json, parse_json
from vexa_functions.store.database import Connection

INSERT = "INSERT INTO outbox (event) VALUES ($1)"
TAKE = """
SELECT id, event FROM outbox
 WHERE published_at IS NULL AND refused IS NULL AND event ->> 'source' = $1
 ORDER BY id LIMIT $2
   FOR UPDATE SKIP LOCKED
"""
MARK = "UPDATE outbox SET published_at = now() WHERE id = $1"
FORGET = "DELETE FROM outbox WHERE published_at < now() - $1::interval"
REFUSE = "UPDATE outbox SET refused = $2 WHERE id = $1"


class Outbox:
    """The outbox table."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def add(self, event: Event) -> None:
        """Promise to publish an event; the caller's transaction decides."""
        await self._connection.execute(INSERT, json.loads(encode_json(event)))

    async def take(self, source: str, *, limit: int) -> list[tuple[int, Event]]:
        """Lock the oldest unpublished events of a producer that nobody else is publishing."""
        rows = await self._connection.fetch(TAKE, source, limit)
        return [(row["id"], parse_json(json.dumps(row["event"]))) for row in rows]

    async def mark_published(self, row_id: int) -> None:
        """Never publish it again."""
        await self._connection.execute(MARK, row_id)

    async def refuse(self, row_id: int, why: str) -> None:
        """Keep an event that the sink will never take where an operator finds it."""
        await self._connection.execute(REFUSE, row_id, why)

    async def forget_published(self, *, older_than: timedelta) -> None:
        """Delete events that were published long ago; what was refused stays for an operator."""
        await self._connection.execute(FORGET, older_than)

"""Dead letters: events that a subscriber did not take, each kept once for each subscriber."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from vexa_events.envelope import Event, encode_json, parse_json
from vexa_functions.store.database import Connection

_COLUMNS = """
id, event, destination, status_code, cause, times, first_received_at, last_received_at, redriven_at
"""
KEEP = """
INSERT INTO dead_letters (event_source, event_id, event_type, event, destination, status_code, cause)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (event_source, event_id, destination) DO UPDATE
   SET times = dead_letters.times + 1, last_received_at = now(), redriven_at = NULL,
       event = excluded.event, status_code = excluded.status_code, cause = excluded.cause
"""
PAGE = f"""
SELECT {_COLUMNS} FROM dead_letters
 WHERE ($1::bigint IS NULL OR id < $1) AND ($2::text IS NULL OR event_type = $2) AND ($3 OR redriven_at IS NULL)
 ORDER BY id DESC LIMIT $4
"""  # noqa: S608 - only our own column list is joined in
BY_ID = f"SELECT {_COLUMNS} FROM dead_letters WHERE id = $1"  # noqa: S608
MARK_REDRIVEN = "UPDATE dead_letters SET redriven_at = now() WHERE id = $1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Who did not take an event, and why."""

    destination: str
    status_code: int | None
    cause: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """One event that one subscriber did not take."""

    id: int
    event: Event
    failure: Failure
    times: int
    """How often it came here."""
    first_received_at: datetime
    last_received_at: datetime
    redriven_at: datetime | None
    """None while nobody has sent it again since it last came here."""


class DeadLetters:
    """The dead_letters table."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def keep(self, event: Event, failure: Failure) -> None:
        """Keep an event; one that comes again is counted and waits again."""
        await self._connection.execute(
            KEEP,
            event.source,
            event.id,
            event.type,
            json.loads(encode_json(event)),
            failure.destination,
            failure.status_code,
            failure.cause,
        )

    async def page(
        self, *, before_id: int | None, event_type: str | None, with_redriven: bool, limit: int
    ) -> list[DeadLetter]:
        """List the newest first, those before `before_id` where it is given."""
        rows = await self._connection.fetch(PAGE, before_id, event_type, with_redriven, limit)
        return [_dead_letter(row) for row in rows]

    async def by_id(self, letter_id: int) -> DeadLetter | None:
        """Find one."""
        row = await self._connection.fetchrow(BY_ID, letter_id)
        return None if row is None else _dead_letter(row)

    async def mark_redriven(self, letter_id: int) -> None:
        """Note that it was sent again."""
        await self._connection.execute(MARK_REDRIVEN, letter_id)


def _dead_letter(row: Any) -> DeadLetter:
    fields = dict(row)
    event = parse_json(json.dumps(fields.pop("event")))
    failure = Failure(
        destination=fields.pop("destination"), status_code=fields.pop("status_code"), cause=fields.pop("cause")
    )
    return DeadLetter(event=event, failure=failure, **fields)

"""Dead letters: events that a subscriber did not take, each kept once for each subscriber."""

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from vexa_events.envelope import Event
from vexa_functions.store.database import Connection

_COLUMNS = """
id, event, destination, status_code, cause, times, first_received_at, last_received_at, redriven_at,
is_escaped, unreadable
"""
KEEP = """
INSERT INTO dead_letters (
       event_source, event_id, event_type, event, is_escaped, unreadable, destination, status_code, cause)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (event_source, event_id, destination) DO UPDATE
   SET times = dead_letters.times + 1, last_received_at = now(), redriven_at = NULL,
       event = excluded.event, is_escaped = excluded.is_escaped, unreadable = excluded.unreadable,
       status_code = excluded.status_code, cause = excluded.cause
"""
PAGE = f"""
SELECT {_COLUMNS} FROM dead_letters
 WHERE ($1::bigint IS NULL OR id < $1) AND ($2::text IS NULL OR event_type = $2) AND ($3 OR redriven_at IS NULL)
 ORDER BY id DESC LIMIT $4
"""  # noqa: S608 - only our own column list is joined in
BY_ID = f"SELECT {_COLUMNS} FROM dead_letters WHERE id = $1"  # noqa: S608
MARK_REDRIVEN = "UPDATE dead_letters SET redriven_at = now() WHERE id = $1 AND times = $2"
MAX_KEY_BYTES = 800
"""Three of them fit an entry of an index."""
_UNHELD = re.compile(r"\\u(?:0000|d[89a-f])")
"""Begins what jsonb may not hold: NUL and halves of characters."""
_ESCAPE = re.compile(r"\\(.)")
_ESCAPED = re.compile(r'\\\\(\\["\\])?')


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
    unreadable: str | None
    """Why it cannot be sent again; None where it can."""


class DeadLetters:
    """The dead_letters table."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def keep(self, event: Event, failure: Failure, *, unreadable: str | None = None) -> None:
        """Keep an event; one that comes again is counted and waits again."""
        text = json.dumps(_fields(event))
        is_escaped = _UNHELD.search(text) is not None
        await self._connection.execute(
            KEEP,
            _key(event.source),
            _key(event.id),
            _key(event.type),
            json.loads(_escaped(text) if is_escaped else text),
            is_escaped,
            unreadable,
            _key(failure.destination),
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

    async def mark_redriven(self, letter_id: int, *, times: int) -> None:
        """Note that it was sent again, unless it has come here again since it had come `times` times."""
        await self._connection.execute(MARK_REDRIVEN, letter_id, times)


def _dead_letter(row: Any) -> DeadLetter:
    fields = dict(row)
    kept = fields.pop("event")
    event = _event(json.loads(_unescaped(json.dumps(kept))) if fields.pop("is_escaped") else kept)
    failure = Failure(
        destination=fields.pop("destination"), status_code=fields.pop("status_code"), cause=fields.pop("cause")
    )
    return DeadLetter(event=event, failure=failure, **fields)


def _fields(event: Event) -> dict[str, Any]:
    """Spell an event as CloudEvents JSON, its size and its characters unchecked."""
    optional = {"subject": event.subject, "time": event.time, "dataschema": event.dataschema}
    return {
        **event.extensions,
        "specversion": "1.0",
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "datacontenttype": "application/json",
        **{name: value for name, value in optional.items() if value is not None},
        "data": event.data,
    }


def _event(fields: dict[str, Any]) -> Event:
    rest = {name: value for name, value in fields.items() if name not in {"specversion", "datacontenttype"}}
    return Event(
        id=rest.pop("id"),
        source=rest.pop("source"),
        type=rest.pop("type"),
        data=rest.pop("data", None),
        subject=rest.pop("subject", None),
        time=rest.pop("time", None),
        dataschema=rest.pop("dataschema", None),
        extensions=rest,
    )


def _escaped(text: str) -> str:
    """Turn the escapes of JSON text into characters of its strings: what they stand for need not be held."""
    return _ESCAPE.sub(lambda found: r"\\" + (f"\\{found[1]}" if found[1] in {'"', "\\"} else found[1]), text)


def _unescaped(text: str) -> str:
    """Undo `_escaped`."""
    return _ESCAPED.sub(lambda found: "\\" + (found[1] or "")[1:], text)


def _key(text: str) -> str:
    """Shorten what an index could not hold."""
    encoded = text.encode()
    return text if len(encoded) <= MAX_KEY_BYTES else f"{text[:100]}:{hashlib.sha256(encoded).hexdigest()}"

"""Keeping dead letters, showing them, and sending them again."""

import base64
import binascii
from dataclasses import replace

from vexa_events.envelope import Event
from vexa_events.errors import Conflict, NotFound
from vexa_functions.answers import MessageAnswer
from vexa_functions.dead_letters.answers import DeadLetterAnswer, DeadLettersAnswer
from vexa_functions.dead_letters.salvage import Letter
from vexa_functions.sink import Publisher
from vexa_functions.store.dead_letters import Failure
from vexa_functions.store.tables import Store

DESTINATION = "knativeerrordest"
CODE = "knativeerrorcode"
CAUSE = "knativeerrordata"
UNKNOWN_DESTINATION = "unknown"
MAX_ROW_ID = 2**63


async def keep(store: Store, letter: Letter) -> None:
    """Keep an event as its producer made it and what the Broker says of the failure, unless its meeting was deleted."""
    event = letter.event
    extensions = {name: value for name, value in event.extensions.items() if not name.startswith("knativeerror")}
    async with store.transaction() as tables:
        meeting_id = _meeting_id(event)
        if meeting_id is not None:
            await tables.erasure.hold(meeting_id)
            if await tables.erasure.is_erased(meeting_id):
                return
        await tables.dead_letters.keep(
            replace(event, extensions=extensions), failure_of(event), unreadable=letter.unreadable
        )


async def list_letters(
    store: Store, *, before_id: int | None, event_type: str | None, with_redriven: bool, limit: int
) -> DeadLettersAnswer:
    """Spell a page, newest first; `next_before` continues it."""
    async with store.reading() as tables:
        letters = await tables.dead_letters.page(
            before_id=before_id, event_type=event_type, with_redriven=with_redriven, limit=limit
        )
    more = letters[-1].id if len(letters) == limit else None
    return DeadLettersAnswer(dead_letters=[DeadLetterAnswer.of(letter) for letter in letters], next_before=more)


async def redrive(store: Store, publisher: Publisher, letter_id: int) -> MessageAnswer:
    """Post the event to the Broker again; consumers that had taken it know it by its id."""
    async with store.reading() as tables:
        letter = await tables.dead_letters.by_id(letter_id)
        if letter is None:
            raise NotFound(f"no dead letter {letter_id}")
        if letter.unreadable is not None:
            raise Conflict(f"dead letter {letter_id} cannot be sent again: {letter.unreadable}")
        await publisher.publish(letter.event)
        await tables.dead_letters.mark_redriven(letter_id, times=letter.times)
    return MessageAnswer(message=f"event {letter.event.id} was sent again")


def failure_of(event: Event) -> Failure:
    """Read the attributes that a Broker adds to a dead letter."""
    code = event.extensions.get(CODE, "")
    return Failure(
        destination=event.extensions.get(DESTINATION, UNKNOWN_DESTINATION),
        status_code=int(code) if code.isascii() and code.isdigit() and len(code) <= 6 else None,
        cause=_plain(event.extensions.get(CAUSE)),
    )


def _meeting_id(event: Event) -> int | None:
    """Read which meeting an event tells of; None where it names none that there could be."""
    named = event.data.get("meeting_id") if isinstance(event.data, dict) else None
    return named if type(named) is int and 0 < named < MAX_ROW_ID else None


def _plain(encoded: str | None) -> str | None:
    """Decode the base64 in which a Broker puts the subscriber's answer."""
    if encoded is None:
        return None
    try:
        text = base64.b64decode(encoded, validate=True).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return encoded
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}")

"""What administrators are told of dead letters."""

from datetime import datetime
from typing import Self

from vexa_functions.answers import Answer
from vexa_functions.store.dead_letters import DeadLetter


class EventAnswer(Answer):
    """The attributes of an event; its data is not shown."""

    id: str
    source: str
    type: str
    subject: str | None
    time: str | None
    extensions: dict[str, str]


class DeadLetterAnswer(Answer):
    """An event that a subscriber did not take."""

    id: int
    event: EventAnswer
    destination: str
    status_code: int | None
    cause: str | None
    times: int
    first_received_at: datetime
    last_received_at: datetime
    redriven_at: datetime | None

    @classmethod
    def of(cls, letter: DeadLetter) -> Self:
        """Spell a stored letter."""
        event = letter.event
        return cls(
            id=letter.id,
            event=EventAnswer(
                id=event.id,
                source=event.source,
                type=event.type,
                subject=event.subject,
                time=event.time,
                extensions=dict(event.extensions),
            ),
            destination=letter.failure.destination,
            status_code=letter.failure.status_code,
            cause=letter.failure.cause,
            times=letter.times,
            first_received_at=letter.first_received_at,
            last_received_at=letter.last_received_at,
            redriven_at=letter.redriven_at,
        )


class DeadLettersAnswer(Answer):
    """A page, newest first; `next_before` continues it."""

    dead_letters: list[DeadLetterAnswer]
    next_before: int | None

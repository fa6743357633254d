"""
What has lately happened to events, for people to look at; bounded, kept in Valkey.

Notes are written a few times a second, so that they cost deliveries nothing:
a crash may take the last moment's notes, never an event. No event's data is
noted: what was said in a meeting leaves with the meeting.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import redis.asyncio as redis
from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from vexa_events.envelope import Event
from vexa_events.errors import Unavailable
from vexa_local.broker.delivery import Stage
from vexa_local.broker.resources import BrokerName
from vexa_local.broker.valkey import answered, text_of

logger = logging.getLogger(__name__)

KEPT = 5_000
"""Notes a Broker keeps; older ones are trimmed."""
MAX_WAITING = 5_000
"""Notes that wait to be written; beyond, the oldest are dropped and counted."""
WRITE_EVERY_S = 0.3
MAX_DETAIL = 300
"""Characters of an answer's body."""


class End(StrEnum):
    """How an entry ended for a Trigger."""

    DELIVERED = "delivered"
    DEAD_LETTERED = "dead_lettered"
    BURIED = "buried"


class Seen(BaseModel):
    """The attributes of an accepted event."""

    model_config = ConfigDict(frozen=True)

    id: str
    type: str
    source: str
    subject: str | None = None
    time: str | None = None
    dataschema: str | None = None
    extensions: dict[str, str]


class Note(BaseModel):
    """One thing that happened to one entry; exactly what applies is set."""

    model_config = ConfigDict(frozen=True)

    at: AwareDatetime
    entry: str
    event: Seen | None = None
    """Accepted."""
    trigger: str | None = None
    stage: Stage | None = None
    """Tried."""
    retry: int | None = None
    """0 for the first attempt."""
    status: int | None = None
    """-1 where there was no answer."""
    detail: str | None = None
    wait_s: float | None = None
    """Until the next attempt; absent where none follows."""
    end: End | None = None


def utc_now() -> datetime:
    """Read the wall clock."""
    return datetime.now(UTC)


class Chronicle:
    """Collects notes in memory and writes them now and then."""

    def __init__(self, client: redis.Redis, *, clock: Callable[[], datetime] = utc_now) -> None:
        """`client` comes from open_valkey."""
        self._client = client
        self._clock = clock
        self._waiting: deque[tuple[BrokerName, Note]] = deque(maxlen=MAX_WAITING)
        self._writing = asyncio.Lock()
        self.dropped = 0
        """Notes that were never written."""

    def accepted(self, broker: BrokerName, entry: str, event: Event) -> None:
        """Note an event's attributes."""
        seen = Seen(
            id=event.id,
            type=event.type,
            source=event.source,
            subject=event.subject,
            time=event.time,
            dataschema=event.dataschema,
            extensions=dict(event.extensions),
        )
        self._add(broker, Note(at=self._clock(), entry=entry, event=seen))

    def tried(
        self, broker: BrokerName, entry: str, trigger: str, *, stage: Stage, retry: int, status: int, **also: Any
    ) -> None:
        """Note an attempt and its status; `detail` and `wait_s` where they apply."""
        detail = also.pop("detail", b"").decode("utf-8", "replace")[:MAX_DETAIL] or None
        told = {"stage": stage, "retry": retry, "status": status, "detail": detail, **also}
        self._add(broker, Note(at=self._clock(), entry=entry, trigger=trigger, **told))

    def ended(self, broker: BrokerName, entry: str, trigger: str, end: End) -> None:
        """Note that a Trigger is done with an entry."""
        self._add(broker, Note(at=self._clock(), entry=entry, trigger=trigger, end=end))

    async def recent(self, broker: BrokerName, *, after: str | None, count: int) -> list[tuple[str, Note]]:
        """Return the newest notes that follow a position, oldest first, each with its position."""
        least = f"({after}" if after else "-"
        async with answered():
            found: Any = await self._client.xrevrange(_key(broker), "+", least, count=count)
        read = ((text_of(id_), _note(fields)) for id_, fields in reversed(found))
        return [(id_, note) for id_, note in read if note is not None]

    async def write_forever(self, every_s: float = WRITE_EVERY_S) -> None:
        """Write what waits, again and again, until cancelled."""
        while True:
            await asyncio.sleep(every_s)
            await self.write()

    async def write(self) -> None:
        """Write what waits, one writer at a time; where Valkey fails, the notes are dropped and counted."""
        async with self._writing:
            batch = [self._waiting.popleft() for _ in range(len(self._waiting))]
            if not batch:
                return
            try:
                async with answered(), self._client.pipeline(transaction=False) as pipeline:
                    for broker, note in batch:
                        pipeline.xadd(_key(broker), {"note": note.model_dump_json(exclude_none=True)}, maxlen=KEPT)
                    await pipeline.execute()
            except Unavailable:
                self.dropped += len(batch)
                logger.warning("notes not written", extra={"dropped": self.dropped})

    def _add(self, broker: BrokerName, note: Note) -> None:
        if len(self._waiting) == MAX_WAITING:
            self.dropped += 1
        self._waiting.append((broker, note))


def _key(broker: BrokerName) -> str:
    return f"broker:{broker}:notes"


def _note(fields: dict[bytes, bytes]) -> Note | None:
    """Read a note; one of another version is passed over."""
    try:
        return Note.model_validate_json(fields[b"note"])
    except (ValidationError, KeyError):
        return None

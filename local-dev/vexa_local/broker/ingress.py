"""
Takes events into a Broker: posted ones and replies alike.

The TTL counts how often replies may carry an event round. It travels as the
extension `knativebrokerttl` up to here and is kept beside the event from then on.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from vexa_events.envelope import Event
from vexa_events.errors import InvalidMessage
from vexa_local.broker.chronicle import Chronicle
from vexa_local.broker.journal import Journal

TTL = "knativebrokerttl"
ARRIVAL = "knativearrivaltime"
FIRST_TTL = 255


def utc_now() -> datetime:
    """Read the wall clock."""
    return datetime.now(UTC)


class Ingress:
    """The way into one Broker."""

    def __init__(self, journal: Journal, chronicle: Chronicle, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._journal = journal
        self._chronicle = chronicle
        self._clock = clock

    async def take(self, event: Event) -> None:
        """Return once the event is on disk; raise InvalidMessage for one that went round too often, or Overloaded."""
        ttl = _ttl_of(event)
        if ttl < 1:
            raise InvalidMessage(f"{TTL} is used up: replies carry the event round")
        extensions = {name: value for name, value in event.extensions.items() if name != TTL}
        stamped = replace(event, extensions={**extensions, ARRIVAL: self._clock().isoformat()})
        uid = await self._journal.accept(stamped, ttl=ttl)
        self._chronicle.accepted(self._journal.broker, uid, stamped)


def as_reply(event: Event, *, ttl: int) -> Event:
    """Give a reply the TTL of the event that it answers, whatever it says itself."""
    return replace(event, extensions={**event.extensions, TTL: str(ttl)})


def _ttl_of(event: Event) -> int:
    """Count one round off; what has no readable TTL comes from outside."""
    given = event.extensions.get(TTL, "")
    if not given.removeprefix("-").isdecimal() or len(given) > 11:
        return FIRST_TTL
    return int(given) - 1

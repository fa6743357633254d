"""Telling the world of a stored change: outbox first, then the live feed, neither of which may fail a request."""

import logging
from datetime import UTC, datetime

from vexa_events.errors import Unavailable
from vexa_events.identity import BotStatus
from vexa_events.live import LiveKind, LiveMessage
from vexa_functions.live_feed import LiveFeed
from vexa_functions.relay import Relay

logger = logging.getLogger(__name__)


class Announcer:
    """Publishes changes that are already in the database."""

    def __init__(self, relay: Relay, live: LiveFeed) -> None:
        self._relay = relay
        self._live = live

    async def announce(self, session_uid: str, meeting_id: int, status: BotStatus) -> None:
        """Drain the outbox and show watchers the new state."""
        await self.drain()
        message = LiveMessage(
            kind=LiveKind.STATUS,
            meeting_id=meeting_id,
            session_uid=session_uid,
            at=datetime.now(UTC),
            status=status,
        )
        try:
            await self._live.publish(message)
        except Unavailable as exc:
            logger.warning("live feed not told", extra={"cause": str(exc)})

    async def drain(self) -> None:
        """Publish what the outbox holds, or leave it for the next tick."""
        try:
            await self._relay.drain()
        except Unavailable as exc:
            logger.warning("outbox not drained", extra={"cause": str(exc)})

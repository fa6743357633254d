"""Sends the events of the PingSources when the clock says so."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

from vexa_events.envelope import Event
from vexa_local.broker.delivery import Backoff, DeliveryPolicy, Verdict
from vexa_local.broker.resources import PingSource
from vexa_local.broker.sender import Sender

logger = logging.getLogger(__name__)

_POLICY = DeliveryPolicy(
    retry=5, backoff=Backoff.EXPONENTIAL, backoff_delay_s=0.05, timeout_s=30.0, dead_letter_url=None
)
"""A ping that cannot be sent within this is dropped: the next one follows."""


def utc_now() -> datetime:
    """Read the wall clock."""
    return datetime.now(UTC)


async def ping_forever(source: PingSource, sender: Sender, clock: Callable[[], datetime] = utc_now) -> None:
    """Send one event each time the schedule comes due, until cancelled."""
    due = source.schedule.next_after(clock())
    while True:
        await asyncio.sleep(max(0.0, (due - clock()).total_seconds()))
        await _send(source, sender, at=due)
        due = source.schedule.next_after(max(due, clock()))


async def _send(source: PingSource, sender: Sender, *, at: datetime) -> None:
    event = replace(source.template, id=str(uuid4()), time=at.isoformat())
    if not await _sent(event, source.sink_url, sender):
        logger.warning("ping was not accepted", extra={"ping": source.name, "sink": source.sink_url})


async def _sent(event: Event, url: str, sender: Sender) -> bool:
    for retry in range(_POLICY.retry + 1):
        answer = await sender.hand_over(url, event, timeout_s=_POLICY.timeout_s)
        if answer.verdict is not Verdict.RETRY:
            return answer.verdict is Verdict.DONE
        await asyncio.sleep(_POLICY.wait_s(retry))
    return False

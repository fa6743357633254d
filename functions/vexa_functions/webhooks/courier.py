"""Delivering what is due: at once for a new notice, and on every tick what failed before."""

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine, Iterable
from datetime import timedelta

from vexa_events.errors import Unavailable
from vexa_events.tracing import SpanKind, span
from vexa_functions.store.tables import Store
from vexa_functions.store.webhook_deliveries import Claim
from vexa_functions.webhooks.receivers import Receivers
from vexa_functions.webhooks.schedule import Outcome, Verdict, pause_s

logger = logging.getLogger(__name__)

LEASE = timedelta(seconds=60)
"""Longer than any attempt: a delivery whose courier vanished is due again after this."""
WORKERS = 8
SWEEP_S = 40.0
"""A sweep begins no attempt after this; the next tick goes on."""


class Courier:
    """Tries deliveries; several may run at once, on as many instances as there are."""

    def __init__(self, store: Store, receivers: Receivers, *, jitter: Callable[[], float] = random.random) -> None:
        self._store = store
        self._receivers = receivers
        self._jitter = jitter

    async def deliver(self, delivery_ids: Iterable[int]) -> None:
        """Try these now, side by side; those that somebody else tries are left to them."""
        await _together(self._deliver_one(delivery_id) for delivery_id in delivery_ids)

    async def sweep(self) -> None:
        """Try everything that is due."""
        until_s = asyncio.get_running_loop().time() + SWEEP_S
        await _together(self._work(until_s) for _ in range(WORKERS))

    async def _deliver_one(self, delivery_id: int) -> None:
        async with self._store.reading() as tables:
            claim = await tables.webhook_deliveries.claim(delivery_id, lease=LEASE)
        if claim is not None:
            await self._try(claim)

    async def _work(self, until_s: float) -> None:
        while asyncio.get_running_loop().time() < until_s:
            async with self._store.reading() as tables:
                claim = await tables.webhook_deliveries.claim_next(lease=LEASE)
            if claim is None:
                return
            await self._try(claim)

    async def _try(self, claim: Claim) -> None:
        about = {"vexa.notice": claim.delivery.event_type, "vexa.delivery_id": str(claim.delivery.id)}
        with span("send webhook", kind=SpanKind.CLIENT, trace=claim.trace, attributes=about) as begun:
            outcome = await self._receivers.send(claim.url, claim.delivery.body, secret=claim.secret)
            if begun is not None and outcome.error is not None:
                begun.fault = outcome.error
        wait_s = pause_s(outcome, attempts=claim.delivery.round_attempts, jitter=self._jitter())
        status = _status(outcome, wait_s)
        async with self._store.reading() as tables:
            await tables.webhook_deliveries.settle(
                claim.delivery,
                status,
                due_in=None if wait_s is None else timedelta(seconds=wait_s),
                status_code=outcome.status_code,
                error=outcome.error,
            )
        facts = {"delivery_id": claim.delivery.id, "event_type": claim.delivery.event_type, "status": status}
        logger.info("webhook tried", extra={**facts, "status_code": outcome.status_code, "cause": outcome.error})


def _status(outcome: Outcome, wait_s: float | None) -> str:
    if outcome.verdict is Verdict.DELIVERED:
        return "delivered"
    return "failed" if wait_s is None else "pending"


async def _together(attempts: Iterable[Coroutine[None, None, None]]) -> None:
    """Run side by side; what one could not reach, the caller is told once."""
    try:
        async with asyncio.TaskGroup() as tasks:
            for attempt in attempts:
                tasks.create_task(attempt)
    except* Unavailable as group:
        raise Unavailable(str(group.exceptions[0])) from group

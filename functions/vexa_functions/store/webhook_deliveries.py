"""Webhook deliveries: what a user is told, once a fact, tried until somebody takes it."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from vexa_events.envelope import Event, parse_json
from vexa_events.identity import MeetingId, UserId
from vexa_events.trace_context import TraceContext, context_in
from vexa_functions.store.database import Connection

_COLUMNS = """
d.id, d.user_id, d.event_id, d.event_type, d.meeting_id, d.body, d.status, d.due_at, d.attempts, d.round_attempts,
d.last_attempt_at, d.last_status_code, d.last_error, d.created_at, d.delivered_at
"""
ADD = """
INSERT INTO webhook_deliveries (user_id, fact_id, event_id, event_type, meeting_id, body, trace)
SELECT w.user_id, $2, $3, $4, $5, $6, $7 FROM webhooks w
 WHERE w.user_id = $1 AND NOT EXISTS (SELECT FROM meetings m WHERE m.id = $5 AND m.deleted_at IS NOT NULL)
   FOR SHARE OF w
ON CONFLICT (user_id, event_id) DO NOTHING
RETURNING id
"""
_CLAIM = f"""
UPDATE webhook_deliveries d
   SET attempts = d.attempts + 1, round_attempts = d.round_attempts + 1, last_attempt_at = now(),
       due_at = now() + $1, is_leased = true
  FROM chosen, webhooks w
 WHERE d.id = chosen.id AND w.user_id = d.user_id
RETURNING {_COLUMNS}, d.trace, w.url, w.secret
"""  # noqa: S608 - only our own column list is joined in
CLAIM = f"""
WITH chosen AS (
    SELECT id FROM webhook_deliveries WHERE id = $2 AND due_at <= now() FOR UPDATE SKIP LOCKED
)
{_CLAIM}
"""  # noqa: S608 - only our own statement is joined in
CLAIM_NEXT = f"""
WITH due AS (
    SELECT id, row_number() OVER (PARTITION BY user_id ORDER BY due_at > now(), due_at, id)
               + count(*) FILTER (WHERE is_leased AND due_at > now()) OVER (PARTITION BY user_id) AS turn
      FROM webhook_deliveries WHERE due_at IS NOT NULL
), chosen AS (
    SELECT d.id FROM webhook_deliveries d JOIN due USING (id) JOIN webhooks w ON w.user_id = d.user_id
     WHERE d.due_at <= now()
     ORDER BY due.turn, d.due_at, d.id LIMIT 1
       FOR UPDATE OF d SKIP LOCKED
)
{_CLAIM}
"""  # noqa: S608
SETTLE = """
UPDATE webhook_deliveries
   SET status = $3, due_at = now() + $4, is_leased = false, last_status_code = $5, last_error = $6,
       delivered_at = CASE WHEN $3 = 'delivered' THEN coalesce(delivered_at, now()) ELSE delivered_at END
 WHERE id = $1 AND attempts = $2 AND status = 'pending'
"""
PAGE = f"""
SELECT {_COLUMNS} FROM webhook_deliveries d
 WHERE d.user_id = $1 AND ($2::bigint IS NULL OR d.id < $2) AND ($3::text IS NULL OR d.status = $3)
 ORDER BY d.id DESC LIMIT $4
"""  # noqa: S608
OF_USER = f"SELECT {_COLUMNS} FROM webhook_deliveries d WHERE d.user_id = $1 AND d.id = $2"  # noqa: S608
RENEW = """
UPDATE webhook_deliveries SET status = 'pending', due_at = now(), is_leased = false, round_attempts = 0
 WHERE user_id = $1 AND id = $2
RETURNING id
"""
CANCEL = """
WITH held AS (
    SELECT id FROM webhook_deliveries WHERE user_id = $1 AND status = 'pending' ORDER BY id FOR UPDATE
)
UPDATE webhook_deliveries d SET status = 'cancelled', due_at = NULL, last_error = 'the webhook was removed'
  FROM held WHERE d.id = held.id
"""
UNTOLD = """
SELECT o.event
  FROM outbox o JOIN webhooks w ON w.user_id = (o.event ->> 'tenant')::bigint
 WHERE o.created_at BETWEEN greatest(w.created_at, now() - $2::interval) AND now() - $3::interval
   AND o.event ->> 'type' = ANY ($1)
   AND NOT EXISTS (
       SELECT FROM webhook_deliveries d WHERE d.user_id = w.user_id AND d.fact_id = o.event ->> 'id'
   )
 ORDER BY o.id LIMIT $4
"""
FORGET = """
DELETE FROM webhook_deliveries WHERE id IN (
    SELECT id FROM webhook_deliveries WHERE due_at IS NULL AND created_at < now() - $1::interval LIMIT $2
)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One notice to one user and how its delivery goes."""

    id: int
    user_id: UserId
    event_id: str
    event_type: str
    meeting_id: MeetingId
    body: str
    status: str
    due_at: datetime | None
    attempts: int
    round_attempts: int
    """Attempts since the delivery was made or asked for again."""
    last_attempt_at: datetime | None
    last_status_code: int | None
    last_error: str | None
    created_at: datetime
    delivered_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A delivery that is ours to try until its lease ends, and where to."""

    delivery: Delivery
    url: str
    secret: str | None
    trace: TraceContext | None
    """The work of which the notice came."""


class WebhookDeliveries:
    """The webhook_deliveries table."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def add(
        self,
        user_id: int,
        *,
        fact_id: str,
        event_id: str,
        event_type: str,
        meeting_id: int,
        body: str,
        trace: TraceContext | None = None,
    ) -> int | None:
        """Promise a delivery of a meeting that the caller holds; None when it is promised, or nobody is to be told."""
        added: int | None = await self._connection.fetchval(
            ADD, user_id, fact_id, event_id, event_type, meeting_id, body, None if trace is None else trace.texts()
        )
        return added

    async def claim(self, delivery_id: int, *, lease: timedelta) -> Claim | None:
        """Take one delivery to try now; None when it is not due, or somebody else tries it."""
        row = await self._connection.fetchrow(CLAIM, lease, delivery_id)
        return None if row is None else _claim(row)

    async def claim_next(self, *, lease: timedelta) -> Claim | None:
        """
        Take the delivery that is longest due, None when nothing is.

        Users take turns: one for whom few are tried comes before one for whom many are.
        """
        row = await self._connection.fetchrow(CLAIM_NEXT, lease)
        return None if row is None else _claim(row)

    async def settle(
        self,
        delivery: Delivery,
        status: str,
        *,
        due_in: timedelta | None,
        status_code: int | None,
        error: str | None,
    ) -> None:
        """Record how an attempt ended, unless a later one has begun."""
        await self._connection.execute(SETTLE, delivery.id, delivery.attempts, status, due_in, status_code, error)

    async def page(self, user_id: int, *, before_id: int | None, status: str | None, limit: int) -> list[Delivery]:
        """List a user's deliveries, newest first."""
        return [Delivery(**row) for row in await self._connection.fetch(PAGE, user_id, before_id, status, limit)]

    async def of_user(self, user_id: int, delivery_id: int) -> Delivery | None:
        """Find one of a user's deliveries."""
        row = await self._connection.fetchrow(OF_USER, user_id, delivery_id)
        return None if row is None else Delivery(**row)

    async def renew(self, user_id: int, delivery_id: int) -> bool:
        """Make a delivery due again, with all its attempts; false when the user has none of this id."""
        return await self._connection.fetchval(RENEW, user_id, delivery_id) is not None

    async def cancel(self, user_id: int) -> None:
        """Give up what a user has not been told yet."""
        await self._connection.execute(CANCEL, user_id)

    async def untold(
        self, event_types: frozenset[str], *, within: timedelta, older_than: timedelta, limit: int
    ) -> list[Event]:
        """List published facts of users with a webhook of which no delivery tells, oldest first."""
        rows = await self._connection.fetch(UNTOLD, list(event_types), within, older_than, limit)
        return [parse_json(json.dumps(row["event"])) for row in rows]

    async def forget(self, *, older_than: timedelta, limit: int) -> None:
        """Delete deliveries that are long over."""
        await self._connection.execute(FORGET, older_than, limit)


def _claim(row: Any) -> Claim:
    fields = dict(row)
    url, secret, trace = fields.pop("url"), fields.pop("secret"), fields.pop("trace")
    return Claim(delivery=Delivery(**fields), url=url, secret=secret, trace=context_in(trace or {}))

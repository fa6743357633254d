"""Webhooks: where users want to be told, one address a user."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from vexa_events.identity import UserId
from vexa_functions.store.database import Connection

_COLUMNS = "user_id, url, secret, created_at, updated_at"
PUT = f"""
INSERT INTO webhooks (user_id, url, secret) VALUES ($1, $2, $3)
ON CONFLICT (user_id) DO UPDATE
   SET url = excluded.url, secret = CASE WHEN $4 THEN webhooks.secret ELSE excluded.secret END, updated_at = now()
RETURNING {_COLUMNS}
"""  # noqa: S608 - only our own column list is joined in
OF_USER = f"SELECT {_COLUMNS} FROM webhooks WHERE user_id = $1"  # noqa: S608
REMOVE = "DELETE FROM webhooks WHERE user_id = $1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """Where a user wants to be told, and what signs it."""

    user_id: UserId
    url: str
    secret: str | None
    created_at: datetime
    updated_at: datetime


class Webhooks:
    """The webhooks table."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def put(self, user_id: int, url: str, *, secret: str | None, keep_secret: bool) -> Webhook:
        """Set a user's address; `keep_secret` leaves the secret that was set before."""
        return Webhook(**await self._connection.fetchrow(PUT, user_id, url, secret, keep_secret))

    async def of_user(self, user_id: int) -> Webhook | None:
        """Find a user's webhook."""
        row: Any = await self._connection.fetchrow(OF_USER, user_id)
        return None if row is None else Webhook(**row)

    async def remove(self, user_id: int) -> None:
        """Tell a user nothing more."""
        await self._connection.execute(REMOVE, user_id)

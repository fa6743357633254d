"""Users: one row a person, found by id or e-mail."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from vexa_events.identity import UserId
from vexa_functions.store.database import Connection

_COLUMNS = "id, email, name, image_url, max_concurrent_bots, data, created_at"

INSERT = f"""
INSERT INTO users (email, name, image_url, max_concurrent_bots)
VALUES ($1, $2, $3, coalesce($4, 1))
ON CONFLICT (lower(email)) DO NOTHING
RETURNING {_COLUMNS}
"""  # noqa: S608 - only our own column list is joined in
BY_EMAIL = f"SELECT {_COLUMNS} FROM users WHERE lower(email) = lower($1)"  # noqa: S608
BY_ID = f"SELECT {_COLUMNS} FROM users WHERE id = $1"  # noqa: S608
BY_IDS = f"SELECT {_COLUMNS} FROM users WHERE id = ANY($1::bigint[])"  # noqa: S608
LOCK = f"SELECT {_COLUMNS} FROM users WHERE id = $1 FOR UPDATE"  # noqa: S608
PAGE = f"SELECT {_COLUMNS} FROM users ORDER BY id OFFSET $1 LIMIT $2"  # noqa: S608
UPDATE = f"""
UPDATE users
   SET name = CASE WHEN $2::jsonb ? 'name' THEN $2 ->> 'name' ELSE name END,
       image_url = CASE WHEN $2 ? 'image_url' THEN $2 ->> 'image_url' ELSE image_url END,
       max_concurrent_bots = coalesce(($2 ->> 'max_concurrent_bots')::int, max_concurrent_bots)
 WHERE id = $1
RETURNING {_COLUMNS}
"""  # noqa: S608


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Somebody who may send bots."""

    id: UserId
    email: str
    name: str | None
    image_url: str | None
    max_concurrent_bots: int
    """0 means unlimited."""
    data: Mapping[str, Any]
    created_at: datetime


class Users:
    """The users table."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def insert(
        self, *, email: str, name: str | None, image_url: str | None, max_concurrent_bots: int | None
    ) -> User | None:
        """Add a user; None when the e-mail is taken."""
        return _user(await self._connection.fetchrow(INSERT, email, name, image_url, max_concurrent_bots))

    async def by_email(self, email: str) -> User | None:
        """Find by e-mail, whatever its case."""
        return _user(await self._connection.fetchrow(BY_EMAIL, email))

    async def by_id(self, user_id: int) -> User | None:
        """Find by row id."""
        return _user(await self._connection.fetchrow(BY_ID, user_id))

    async def by_ids(self, user_ids: Collection[int]) -> list[User]:
        """Find several by row id."""
        return [User(**row) for row in await self._connection.fetch(BY_IDS, list(user_ids))]

    async def lock(self, user_id: int) -> User | None:
        """Find by row id and hold the row until the transaction ends: one user's bots are counted one at a time."""
        return _user(await self._connection.fetchrow(LOCK, user_id))

    async def page(self, *, skip: int, limit: int) -> list[User]:
        """List in order of creation."""
        return [User(**row) for row in await self._connection.fetch(PAGE, skip, limit)]

    async def update(self, user_id: int, changes: Mapping[str, Any]) -> User | None:
        """Set the named columns (name, image_url, max_concurrent_bots), leave the others."""
        return _user(await self._connection.fetchrow(UPDATE, user_id, dict(changes)))


def _user(row: Any) -> User | None:
    return None if row is None else User(**row)

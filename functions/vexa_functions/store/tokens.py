"""API tokens: only the hash of a key is ever stored."""

from dataclasses import dataclass
from datetime import datetime

from vexa_events.identity import UserId
from vexa_functions.store.database import Connection

INSERT = """
INSERT INTO api_tokens (user_id, name, key_hash, key_prefix, scopes, expires_at)
VALUES ($1, $2, $3, $4, $5, $6)
RETURNING id, user_id, name, key_prefix, scopes, created_at, expires_at, last_used_at, revoked_at
"""
OF_USER = """
SELECT id, user_id, name, key_prefix, scopes, created_at, expires_at, last_used_at, revoked_at
  FROM api_tokens WHERE user_id = $1 ORDER BY id
"""
REVOKE = "UPDATE api_tokens SET revoked_at = coalesce(revoked_at, now()) WHERE id = $1 RETURNING id"
VALID = """
SELECT user_id, scopes FROM api_tokens
 WHERE key_hash = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What may be told of a token after its creation."""

    id: int
    user_id: UserId
    name: str | None
    key_prefix: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a valid key allows."""

    user_id: UserId
    scopes: frozenset[str]


class Tokens:
    """The api_tokens table."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def insert(
        self,
        user_id: int,
        *,
        name: str | None,
        key_hash: bytes,
        key_prefix: str,
        scopes: list[str],
        expires_at: datetime | None,
    ) -> Token:
        """Add a token to an existing user."""
        row = await self._connection.fetchrow(INSERT, user_id, name, key_hash, key_prefix, scopes, expires_at)
        return Token(**row)

    async def of_user(self, user_id: int) -> list[Token]:
        """List a user's tokens, oldest first, revoked ones included."""
        return [Token(**row) for row in await self._connection.fetch(OF_USER, user_id)]

    async def revoke(self, token_id: int) -> bool:
        """Make a token worthless from now on; false when there is none."""
        return await self._connection.fetchval(REVOKE, token_id) is not None

    async def grant(self, key_hash: bytes) -> Grant | None:
        """Find what the key with this hash allows now."""
        row = await self._connection.fetchrow(VALID, key_hash)
        return None if row is None else Grant(user_id=UserId(row["user_id"]), scopes=frozenset(row["scopes"]))

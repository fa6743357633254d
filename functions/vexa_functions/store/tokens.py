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
SELECT id AS token_id, user_id, scopes,
       extract(epoch FROM expires_at - now())::float8 AS expires_in_s,
       coalesce(last_used_at < now() - interval '1 minute', true) AS use_is_news
  FROM api_tokens
 WHERE key_hash = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
"""
NOTE_USE = """
UPDATE api_tokens SET last_used_at = now()
 WHERE id = $1 AND coalesce(last_used_at < now() - interval '1 minute', true)
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

    token_id: int
    user_id: UserId
    scopes: frozenset[str]
    expires_in_s: float | None
    use_is_news: bool
    """Its last use was noted more than a minute ago."""


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
        return None if row is None else Grant(**{**row, "scopes": frozenset(row["scopes"])})

    async def note_use(self, token_id: int) -> None:
        """Write down that a token was used, at most once a minute."""
        await self._connection.execute(NOTE_USE, token_id)

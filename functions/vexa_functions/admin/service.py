"""Users and tokens, as administrators see them."""

from typing import Any

from vexa_events.errors import NotFound
from vexa_functions.admin.requests import TokenRequest, UserChange, UserRequest
from vexa_functions.auth.api_keys import hash_api_key, key_prefix, new_api_key
from vexa_functions.store.tables import Store
from vexa_functions.store.tokens import Token
from vexa_functions.store.users import User

USER_SCOPES = ["user"]
"""What a new token may do: every call of a user."""


async def find_or_create_user(store: Store, wanted: UserRequest) -> tuple[dict[str, Any], bool]:
    """Return the user with this e-mail and whether it is new."""
    async with store.transaction() as tables:
        created = await tables.users.insert(
            email=wanted.email,
            name=wanted.name,
            image_url=wanted.image_url,
            max_concurrent_bots=wanted.max_concurrent_bots,
        )
        user = created or await tables.users.by_email(wanted.email)
    return _user_shape(_found(user, wanted.email)), created is not None


async def list_users(store: Store, *, skip: int, limit: int) -> list[dict[str, Any]]:
    """List users in order of creation."""
    async with store.reading() as tables:
        return [_user_shape(user) for user in await tables.users.page(skip=skip, limit=limit)]


async def user_by_id(store: Store, user_id: int) -> dict[str, Any]:
    """Find a user by id."""
    async with store.reading() as tables:
        return _user_shape(_found(await tables.users.by_id(user_id), user_id))


async def user_by_email(store: Store, email: str) -> dict[str, Any]:
    """Find a user by e-mail."""
    async with store.reading() as tables:
        return _user_shape(_found(await tables.users.by_email(email), email))


async def change_user(store: Store, user_id: int, change: UserChange) -> dict[str, Any]:
    """Change the fields that are present."""
    async with store.reading() as tables:
        changed = await tables.users.update(user_id, change.model_dump(exclude_unset=True))
        return _user_shape(_found(changed, user_id))


async def create_token(store: Store, user_id: int, wanted: TokenRequest) -> dict[str, Any]:
    """Make a token; the answer is the only place where its key ever appears."""
    key = new_api_key()
    async with store.transaction() as tables:
        _found(await tables.users.by_id(user_id), user_id)
        token = await tables.tokens.insert(
            user_id,
            name=wanted.name,
            key_hash=hash_api_key(key),
            key_prefix=key_prefix(key),
            scopes=USER_SCOPES,
            expires_at=wanted.expires_at,
        )
    return {**token_shape(token), "token": key}


async def list_tokens(store: Store, user_id: int) -> list[dict[str, Any]]:
    """List a user's tokens without their keys."""
    async with store.reading() as tables:
        _found(await tables.users.by_id(user_id), user_id)
        return [token_shape(token) for token in await tables.tokens.of_user(user_id)]


async def revoke_token(store: Store, token_id: int) -> None:
    """Make a token worthless."""
    async with store.reading() as tables:
        if not await tables.tokens.revoke(token_id):
            raise NotFound(f"no token {token_id}")


def token_shape(token: Token) -> dict[str, Any]:
    """Spell a token without its key."""
    return {
        "id": token.id,
        "user_id": token.user_id,
        "name": token.name,
        "key_prefix": token.key_prefix,
        "scopes": token.scopes,
        "created_at": token.created_at.isoformat(),
        "expires_at": token.expires_at and token.expires_at.isoformat(),
        "last_used_at": token.last_used_at and token.last_used_at.isoformat(),
        "revoked_at": token.revoked_at and token.revoked_at.isoformat(),
    }


def _user_shape(user: User) -> dict[str, Any]:
    return {
        "id": user.id,
        "email": user.email,
        "name": user.name,
        "image_url": user.image_url,
        "max_concurrent_bots": user.max_concurrent_bots,
        "data": dict(user.data),
        "created_at": user.created_at.isoformat(),
    }


def _found(user: User | None, who: int | str) -> User:
    if user is None:
        raise NotFound(f"no user {who}")
    return user

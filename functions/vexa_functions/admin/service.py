"""Users, tokens and statistics, as administrators see them."""

from vexa_events.errors import NotFound
from vexa_functions.admin.answers import MeetingOfUserAnswer, NewTokenAnswer, StatsAnswer, TokenAnswer
from vexa_functions.admin.requests import TokenRequest, UserChange, UserRequest
from vexa_functions.answers import UserAnswer
from vexa_functions.auth.api_keys import hash_api_key, key_prefix, new_api_key
from vexa_functions.store.tables import Store
from vexa_functions.store.users import User


async def find_or_create_user(store: Store, wanted: UserRequest) -> tuple[UserAnswer, bool]:
    """Return the user with this e-mail and whether it is new."""
    async with store.transaction() as tables:
        created = await tables.users.insert(
            email=wanted.email,
            name=wanted.name,
            image_url=wanted.image_url,
            max_concurrent_bots=wanted.max_concurrent_bots,
        )
        user = created or await tables.users.by_email(wanted.email)
    return UserAnswer.of(_found(user, wanted.email)), created is not None


async def list_users(store: Store, *, skip: int, limit: int) -> list[UserAnswer]:
    """List users in order of creation."""
    async with store.reading() as tables:
        return [UserAnswer.of(user) for user in await tables.users.page(skip=skip, limit=limit)]


async def user_by_id(store: Store, user_id: int) -> UserAnswer:
    """Find a user by id."""
    async with store.reading() as tables:
        return UserAnswer.of(_found(await tables.users.by_id(user_id), user_id))


async def user_by_email(store: Store, email: str) -> UserAnswer:
    """Find a user by e-mail."""
    async with store.reading() as tables:
        return UserAnswer.of(_found(await tables.users.by_email(email), email))


async def change_user(store: Store, user_id: int, change: UserChange) -> UserAnswer:
    """Change the fields that are present."""
    async with store.reading() as tables:
        changed = await tables.users.update(user_id, change.model_dump(exclude_unset=True))
        return UserAnswer.of(_found(changed, user_id))


async def create_token(store: Store, user_id: int, wanted: TokenRequest) -> NewTokenAnswer:
    """Make a token; the answer is the only place where its key ever appears."""
    key = new_api_key()
    async with store.transaction() as tables:
        _found(await tables.users.by_id(user_id), user_id)
        token = await tables.tokens.insert(
            user_id,
            name=wanted.name,
            key_hash=hash_api_key(key),
            key_prefix=key_prefix(key),
            scopes=sorted({scope.value for scope in wanted.scopes}),
            expires_at=wanted.expires_at,
        )
    return NewTokenAnswer.of(token, token=key)


async def list_tokens(store: Store, user_id: int) -> list[TokenAnswer]:
    """List a user's tokens without their keys."""
    async with store.reading() as tables:
        _found(await tables.users.by_id(user_id), user_id)
        return [TokenAnswer.of(token) for token in await tables.tokens.of_user(user_id)]


async def revoke_token(store: Store, token_id: int) -> None:
    """Make a token worthless."""
    async with store.reading() as tables:
        if not await tables.tokens.revoke(token_id):
            raise NotFound(f"no token {token_id}")


async def meetings_with_users(store: Store, *, skip: int, limit: int) -> StatsAnswer:
    """Page through everybody's meetings."""
    async with store.reading() as tables:
        total = await tables.meetings.count()
        meetings = await tables.meetings.page(skip=skip, limit=limit)
        users = await tables.users.by_ids({meeting.user_id for meeting in meetings})
    answer_by_id = {user.id: UserAnswer.of(user) for user in users}
    items = [MeetingOfUserAnswer.of(meeting, user=answer_by_id[meeting.user_id]) for meeting in meetings]
    return StatsAnswer(total=total, items=items)


def _found(user: User | None, who: int | str) -> User:
    if user is None:
        raise NotFound(f"no user {who}")
    return user

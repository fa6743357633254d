"""What administrators are answered."""

from datetime import datetime
from typing import Any, Self

from pydantic import RootModel

from vexa_functions.answers import Answer, MeetingAnswer, UserAnswer
from vexa_functions.store.tokens import Token


class UsersAnswer(RootModel[list[UserAnswer]]):
    """Users in order of creation."""


class TokenAnswer(Answer):
    """A token without its key."""

    id: int
    user_id: int
    name: str | None
    key_prefix: str
    """By which its owner recognises the key."""
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None

    @classmethod
    def of(cls, row: Token, /, **more: Any) -> Self:
        """Spell a stored token; `more` holds what a model that goes further adds."""
        return cls(
            id=row.id,
            user_id=row.user_id,
            name=row.name,
            key_prefix=row.key_prefix,
            scopes=row.scopes,
            created_at=row.created_at,
            expires_at=row.expires_at,
            last_used_at=row.last_used_at,
            revoked_at=row.revoked_at,
            **more,
        )


class NewTokenAnswer(TokenAnswer):
    """A token with its key, which is shown this once."""

    token: str


class TokensAnswer(RootModel[list[TokenAnswer]]):
    """A user's tokens, oldest first, revoked ones included."""


class MeetingOfUserAnswer(MeetingAnswer):
    """A meeting and whose it is."""

    user: UserAnswer


class StatsAnswer(Answer):
    """One page of everybody's meetings, newest first; deleted ones are anonymous."""

    total: int
    items: list[MeetingOfUserAnswer]

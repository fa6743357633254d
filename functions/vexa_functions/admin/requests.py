"""The bodies that administrators send."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from vexa_events.fields import Name, Text
from vexa_functions.auth.scopes import Scope

EMAIL = r"^[^@\s\x00-\x1f\x7f]{1,64}@[^@\s\x00-\x1f\x7f]{1,255}$"
Bots = Annotated[int, Field(ge=0, le=10_000, strict=True)]
"""0 means unlimited."""
ImageUrl = Annotated[Text, StringConstraints(min_length=1, max_length=2_048)]


LATEST = datetime(9999, 1, 1, tzinfo=UTC)
"""Any later one is in no time zone sure to be spelled."""


def _to_come(moment: datetime) -> datetime:
    if moment >= LATEST:
        raise ValueError("must lie before the year 9999")
    if moment <= datetime.now(UTC):
        raise ValueError("must lie in the future")
    return moment


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, defer_build=True)


class UserRequest(_Body):
    """A person who may send bots; found by e-mail where there is one."""

    email: Annotated[Text, StringConstraints(pattern=EMAIL, max_length=320)]
    name: Name | None = None
    image_url: ImageUrl | None = None
    max_concurrent_bots: Bots | None = None
    """0 means unlimited; a new user who is given no number gets 1."""


class UserChange(_Body):
    """What is to change; absent fields stay."""

    name: Name | None = None
    image_url: ImageUrl | None = None
    max_concurrent_bots: Bots | None = None


class TokenRequest(_Body):
    """What the new token may do, and until when; an empty body makes one for every call of a user."""

    name: Name | None = None
    scopes: Annotated[tuple[Scope, ...], Field(min_length=1, max_length=len(Scope))] = (Scope.USER,)
    expires_at: Annotated[AwareDatetime, AfterValidator(_to_come)] | None = None

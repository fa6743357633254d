"""The bodies that administrators send."""

from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from vexa_events.fields import Name

EMAIL = r"^[^@\s\x00-\x1f]{1,64}@[^@\s\x00-\x1f]{1,255}$"
Bots = Annotated[int, Field(ge=0, le=10_000)]
"""0 means unlimited."""


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class UserRequest(_Body):
    """POST /admin/users"""

    email: Annotated[str, StringConstraints(pattern=EMAIL, max_length=320)]
    name: Name | None = None
    image_url: Name | None = None
    max_concurrent_bots: Bots | None = None


class UserChange(_Body):
    """PATCH /admin/users/{id}; only fields that are present change."""

    name: Name | None = None
    image_url: Name | None = None
    max_concurrent_bots: Bots | None = None


class TokenRequest(_Body):
    """POST /admin/users/{id}/tokens; an empty body is a valid one."""

    name: Name | None = None
    expires_at: AwareDatetime | None = None

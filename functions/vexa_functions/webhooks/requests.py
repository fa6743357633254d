"""The bodies that users send about their webhook."""

import re
from typing import Annotated

import httpx
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from vexa_events.fields import Name

_HOST = re.compile(r"[\w.-]+|[0-9A-Fa-f:.]+")


def _sound(url: str) -> str:
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, UnicodeError) as exc:
        raise ValueError(f"is not a URL: {exc}") from exc
    if parsed.scheme not in {"http", "https"} or not parsed.raw_host:
        raise ValueError("must be an absolute http or https URL")
    if not _HOST.fullmatch(parsed.host):
        raise ValueError("must name a host by letters, digits, dots, hyphens and underscores, or by its address")
    if parsed.userinfo:
        raise ValueError("must not hold a user name or a password")
    if parsed.port is not None and not 1 <= parsed.port <= 65_535:
        raise ValueError("must name a port from 1 to 65535, or none")
    return str(parsed.copy_with(fragment=None))


class WebhookRequest(BaseModel):
    """PUT /user/webhook"""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    webhook_url: Annotated[str, StringConstraints(min_length=1, max_length=2_048), AfterValidator(_sound)]
    """Where to post; only addresses on the public internet are reached."""
    webhook_secret: Annotated[Name | None, Field(min_length=16)] = None
    """Signs what is sent. Left out, the one that was set before stays; null removes it."""

    @property
    def keeps_secret(self) -> bool:
        return "webhook_secret" not in self.model_fields_set

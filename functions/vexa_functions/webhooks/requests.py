"""The bodies that users send about their webhook."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from vexa_events.fields import Name


def _sound(url: str) -> str:
    from vexa_functions.webhooks.urls import sound_url  # noqa: PLC0415 - brings an HTTP client

    return sound_url(url)


class WebhookRequest(BaseModel):
    """PUT /user/webhook"""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, defer_build=True)

    webhook_url: Annotated[str, StringConstraints(min_length=1, max_length=2_048), AfterValidator(_sound)]
    """Where to post; only addresses on the public internet are reached."""
    webhook_secret: Annotated[Name | None, Field(min_length=16)] = None
    """Signs what is sent. Left out, the one that was set before stays; null removes it."""

    @property
    def keeps_secret(self) -> bool:
        return "webhook_secret" not in self.model_fields_set

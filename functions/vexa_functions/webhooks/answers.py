"""What users are answered about their webhook."""

import json
from datetime import datetime
from typing import Any, Literal, Self

from vexa_functions.answers import Answer
from vexa_functions.store.webhook_deliveries import Delivery
from vexa_functions.store.webhooks import Webhook

DeliveryStatus = Literal["pending", "delivered", "failed", "cancelled"]


class WebhookAnswer(Answer):
    """A user's webhook; its secret is never told."""

    webhook_url: str
    has_secret: bool
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, webhook: Webhook) -> Self:
        """Spell a stored webhook."""
        return cls(
            webhook_url=webhook.url,
            has_secret=webhook.secret is not None,
            created_at=webhook.created_at,
            updated_at=webhook.updated_at,
        )


class DeliveryAnswer(Answer):
    """One notice and how its delivery goes."""

    id: int
    event_id: str
    """The same on every attempt."""
    event_type: str
    meeting_id: int
    status: DeliveryStatus
    attempts: int
    next_attempt_at: datetime | None
    last_attempt_at: datetime | None
    last_status_code: int | None
    last_error: str | None
    created_at: datetime
    delivered_at: datetime | None
    payload: dict[str, Any]
    """What is sent."""

    @classmethod
    def of(cls, delivery: Delivery) -> Self:
        """Spell a stored delivery."""
        return cls.model_validate(
            {
                "id": delivery.id,
                "event_id": delivery.event_id,
                "event_type": delivery.event_type,
                "meeting_id": delivery.meeting_id,
                "status": delivery.status,
                "attempts": delivery.attempts,
                "next_attempt_at": delivery.due_at,
                "last_attempt_at": delivery.last_attempt_at,
                "last_status_code": delivery.last_status_code,
                "last_error": delivery.last_error,
                "created_at": delivery.created_at,
                "delivered_at": delivery.delivered_at,
                "payload": json.loads(delivery.body),
            }
        )


class DeliveriesAnswer(Answer):
    """A page of deliveries, newest first."""

    deliveries: list[DeliveryAnswer]
    next_before: int | None
    """Continues the list; null on its last page."""

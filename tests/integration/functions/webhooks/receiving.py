"""A user's server, and the events of which it is told."""

import asyncio
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import asyncpg
import httpx

from vexa_events.envelope import Event, encode_binary
from vexa_events.identity import BotStatus
from vexa_events.lifecycle import BotStatusChanged, MeetingFinalized
from vexa_events.registry import bot_event, finalized_event

SECRET = "a secret that both sides know"
AT = datetime(2026, 11, 1, 9, 0, tzinfo=UTC)


@dataclass
class Receiver:
    """A user's server: what it was sent, and how it answers."""

    url: str = ""
    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    posts: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def told(self) -> list[str]:
        return [json.loads(body)["event_type"] for _, body in self.posts]

    @property
    def event_ids(self) -> list[str]:
        return [json.loads(body)["event_id"] for _, body in self.posts]


def a_change(user_id: int, status: BotStatus = BotStatus.ACTIVE, *, sequence: int = 3, meeting_id: int = 7) -> Event:
    return bot_event(
        BotStatusChanged(
            meeting_id=meeting_id,
            user_id=user_id,
            session_uid="s1",
            platform="google_meet",
            native_meeting_id="abc-defg-hij",
            status=status,
            sequence=sequence,
            at=AT,
        )
    )


def an_end(user_id: int) -> Event:
    return finalized_event(
        MeetingFinalized(
            meeting_id=7,
            user_id=user_id,
            session_uid="s1",
            platform="google_meet",
            native_meeting_id="abc-defg-hij",
            status=BotStatus.COMPLETED,
            segments=12,
            captured_s=60.0,
            missing_s=0.5,
            at=AT,
        )
    )


async def send(webhooks: httpx.AsyncClient, event: Event) -> httpx.Response:
    headers, body = encode_binary(event)
    return await webhooks.post("/events", headers=headers, content=body)


async def deliveries(api: httpx.AsyncClient, **query: Any) -> list[dict[str, Any]]:
    page: list[dict[str, Any]] = (await api.get("/user/webhooks/deliveries", params=query)).json()["deliveries"]
    return page


async def make_due(postgres_url: str) -> None:
    """Let the pause of every delivery pass."""
    connection = await asyncpg.connect(postgres_url)
    await connection.execute("UPDATE webhook_deliveries SET due_at = now() WHERE due_at IS NOT NULL")
    await connection.close()

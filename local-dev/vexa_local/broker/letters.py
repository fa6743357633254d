"""
Dead letters from where they lie: in the Broker itself, or with the function that is its dead letter sink.

Their data is not read: what was said in a meeting is for its user.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import httpx
import redis.asyncio as redis

from vexa_events.envelope import Event
from vexa_events.errors import NotFound, Unavailable
from vexa_local.broker.ingress import Ingress
from vexa_local.broker.journal import read_fields
from vexa_local.broker.resources import BrokerName
from vexa_local.broker.valkey import answered, text_of

LISTED = 100
FAILURE = "knativeerror"
_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One event that a subscriber did not take."""

    id: str
    event_id: str
    type: str
    subject: str | None
    destination: str
    code: str
    at: str
    """RFC 3339, or the position in the Broker's stream."""


class Letters(Protocol):
    """A place where dead letters lie."""

    async def listed(self) -> list[Letter]:
        """Return the newest ones, newest first."""

    async def redrive(self, letter_id: str) -> None:
        """Send one to the Broker again; raise NotFound where there is none."""


class KeptLetters:
    """Those that no sink took, in Valkey."""

    def __init__(self, client: redis.Redis, broker: BrokerName, ingress: Ingress) -> None:
        """`client` comes from open_valkey."""
        self._client = client
        self._key = f"broker:{broker}:dead"
        self._ingress = ingress

    async def listed(self) -> list[Letter]:
        async with answered():
            found: Any = await self._client.xrevrange(self._key, count=LISTED)
        return [_letter(text_of(id_), read_fields(fields)) for id_, fields in found]

    async def redrive(self, letter_id: str) -> None:
        """Take it into the Broker as it was, and only then let go of the letter."""
        async with answered():
            found: Any = await self._client.xrange(self._key, letter_id, letter_id)
        if not found:
            raise NotFound(f"no dead letter {letter_id}")
        await self._ingress.take(_revived(read_fields(found[0][1])))
        async with answered():
            await self._client.xdel(self._key, letter_id)


class FunctionLetters:
    """Those that the dead letter function keeps, asked for with the administrator's key."""

    def __init__(self, client: httpx.AsyncClient, url: str, *, admin_key: str) -> None:
        self._client = client
        self._url = f"{url.rstrip('/')}/admin/dead-letters"
        self._headers = {"x-admin-api-key": admin_key}

    async def listed(self) -> list[Letter]:
        found = await self._ask("GET", f"{self._url}?limit={LISTED}")
        return [_spelled(letter) for letter in found["dead_letters"]]

    async def redrive(self, letter_id: str) -> None:
        await self._ask("POST", f"{self._url}/{int(letter_id)}/redrive")

    async def _ask(self, method: str, url: str) -> Mapping[str, Any]:
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                answer = await self._client.request(method, url, headers=self._headers)
        except (httpx.HTTPError, TimeoutError) as exc:
            raise Unavailable(f"dead-letters: {type(exc).__name__}") from exc
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise NotFound("no such dead letter")
        if not answer.is_success:
            raise Unavailable(f"dead-letters answered {answer.status_code}")
        found: Mapping[str, Any] = answer.json()
        return found


def _letter(letter_id: str, event: Event) -> Letter:
    return Letter(
        id=letter_id,
        event_id=event.id,
        type=event.type,
        subject=event.subject,
        destination=event.extensions.get(f"{FAILURE}dest", ""),
        code=event.extensions.get(f"{FAILURE}code", ""),
        at=letter_id,
    )


def _spelled(letter: Mapping[str, Any]) -> Letter:
    event, code = letter["event"], letter["status_code"]
    return Letter(
        id=str(letter["id"]),
        event_id=event["id"],
        type=event["type"],
        subject=event["subject"],
        destination=letter["destination"],
        code="" if code is None else str(code),
        at=letter["last_received_at"],
    )


def _revived(event: Event) -> Event:
    """Drop what the Broker added to the letter."""
    kept = {name: value for name, value in event.extensions.items() if not name.startswith(FAILURE)}
    return replace(event, extensions=kept)

"""Posts CloudEvents to a sink and reads the answer as a Knative sender does."""

import asyncio
from pathlib import Path
from typing import Protocol

import httpx

from vexa_events.envelope import Event, encode_binary
from vexa_events.errors import InvalidMessage, Unavailable
from vexa_events.trace_context import PARENT, STATE

RETRIED = frozenset({404, 408, 409, 429})
"""Client errors that a Knative sender retries, beside every 5xx."""


class Publisher(Protocol):
    """What a producer needs of a sink."""

    async def publish(self, event: Event) -> None:
        """Hand over one event; return once the sink has accepted it."""


class SinkPublisher:
    """Publishes to one HTTP sink (`K_SINK`)."""

    def __init__(
        self, client: httpx.AsyncClient, sink: str, *, timeout_s: float = 30.0, token_file: Path | None = None
    ) -> None:
        """
        `sink` is an absolute URL; `timeout_s` bounds one delivery as a whole, whatever `client` allows a step.

        `token_file` holds what the sink knows us by; whoever writes it renews it, so it is read for each event.
        """
        self._client = client
        self._sink = sink
        self._timeout_s = timeout_s
        self._token_file = token_file

    async def publish(self, event: Event) -> None:
        """Raise Unavailable where trying again may help, InvalidMessage where it cannot."""
        headers, body = encode_binary(event)
        headers |= {name: event.extensions[name] for name in (PARENT, STATE) if name in event.extensions}
        if self._token_file is not None:
            headers["Authorization"] = f"Bearer {_read(self._token_file)}"
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await self._client.post(self._sink, headers=headers, content=body)
        except (httpx.HTTPError, TimeoutError) as exc:
            raise Unavailable(f"sink did not answer: {type(exc).__name__}") from exc
        if answer.is_success:
            return
        if answer.status_code in RETRIED or answer.is_server_error:
            raise Unavailable(f"sink answered {answer.status_code}")
        raise InvalidMessage(f"sink refused {event.type} {event.id} with {answer.status_code}: {answer.text[:500]}")


def _read(token_file: Path) -> str:
    try:
        return token_file.read_text().strip()
    except OSError as exc:
        raise Unavailable(f"{token_file} cannot be read: {exc.strerror}") from exc

"""Delivers one event to one URL, once, and tells what the answer was."""

import asyncio

import httpx

from vexa_events.envelope import MAX_EVENT_BYTES, Event, encode_binary, parse_http
from vexa_events.errors import InvalidMessage
from vexa_local.broker.delivery import NO_ANSWER, NOT_AN_EVENT, Answer

MAX_DETAIL_BYTES = 1024
"""As much of an answer as a dead letter carries."""


class Sender:
    """Posts events in binary mode."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        """`client` has no timeout of its own; each delivery brings one."""
        self._client = client

    async def send(self, url: str, event: Event, *, timeout_s: float) -> Answer:
        """Post the event; a failure to reach the subscriber is an answer too."""
        headers, body = encode_binary(event)
        request = self._client.build_request("POST", url, headers={**headers, "prefer": "reply"}, content=body)
        try:
            async with asyncio.timeout(timeout_s):
                return await self._answer(request)
        except TimeoutError:
            return Answer(status=NO_ANSWER, body=f"no answer within {timeout_s:g} s".encode())
        except httpx.HTTPError as exc:
            return Answer(status=NO_ANSWER, body=f"{type(exc).__name__}: {exc}".encode()[:MAX_DETAIL_BYTES])

    async def _answer(self, request: httpx.Request) -> Answer:
        response = await self._client.send(request, stream=True)
        try:
            body = await _read_bounded(response)
        finally:
            await response.aclose()
        if not response.is_success:
            return Answer(status=response.status_code, body=body[:MAX_DETAIL_BYTES])
        if not body and "ce-type" not in response.headers:
            return Answer(status=response.status_code)
        return _reply(response, body)


def _reply(response: httpx.Response, body: bytes) -> Answer:
    try:
        return Answer(status=response.status_code, reply=parse_http(response.headers, body))
    except InvalidMessage:
        return Answer(status=NOT_AN_EVENT, body=body[:MAX_DETAIL_BYTES])


async def _read_bounded(response: httpx.Response) -> bytes:
    """Read up to one byte more than an event may have; the rest cannot change the verdict."""
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > MAX_EVENT_BYTES:
            break
    return bytes(body[: MAX_EVENT_BYTES + 1])

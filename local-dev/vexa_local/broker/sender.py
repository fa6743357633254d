"""Delivers one event to one URL, once, and tells what the answer was."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp

from vexa_events.envelope import MAX_EVENT_BYTES, Event, encode_binary, encode_structured, parse_http
from vexa_events.errors import InvalidMessage
from vexa_local.broker.delivery import NO_ANSWER, NOT_AN_EVENT, Answer, Form

MAX_DETAIL_BYTES = 768
"""As much of an answer as a dead letter carries: 1,024 characters in base64."""
UNSENDABLE = 400
"""Stands for an event that cannot be spelled in the form that is asked for."""
IDLE_S = 2.0
"""A connection that was idle for longer is not used again; uvicorn closes them after 5 s."""
_NOT_OURS = ("User-Agent", "Accept", "Accept-Encoding")
_ENCODE = {Form.BINARY: encode_binary, Form.STRUCTURED: encode_structured}
_WANTS_REPLY = {"prefer": "reply"}


class Sender:
    """Posts events; a failure to reach the receiver is an answer too."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        """`session` has no timeout of its own; each delivery brings one."""
        self._session = session

    async def ask(self, url: str, event: Event, *, timeout_s: float, form: Form = Form.BINARY) -> Answer:
        """Post to a subscriber: a body in its answer is a reply, and must be an event."""
        answered = await self._post(url, event, _WANTS_REPLY, timeout_s, form)
        return answered if isinstance(answered, Answer) else _reply(*answered)

    async def hand_over(self, url: str, event: Event, *, timeout_s: float, form: Form = Form.BINARY) -> Answer:
        """Post to a sink, from which no reply is wanted: what it says beside its status counts for nothing."""
        answered = await self._post(url, event, {}, timeout_s, form)
        return answered if isinstance(answered, Answer) else Answer(status=answered[0].status)

    async def _post(
        self, url: str, event: Event, also: Mapping[str, str], timeout_s: float, form: Form
    ) -> "Answer | tuple[aiohttp.ClientResponse, bytes]":
        """Return a 2xx with its body, or the failure."""
        try:
            headers, body = _ENCODE[form](event)
        except InvalidMessage as exc:
            return Answer(status=UNSENDABLE, body=str(exc).encode()[:MAX_DETAIL_BYTES])
        try:
            async with asyncio.timeout(timeout_s):
                return await self._answer(url, {**headers, **also}, body)
        except TimeoutError:
            return Answer(status=NO_ANSWER, body=f"dispatch error: no answer within {timeout_s:g} s".encode())
        except (aiohttp.ClientError, OSError) as exc:
            return Answer(
                status=NO_ANSWER, body=f"dispatch error: {type(exc).__name__}: {exc}".encode()[:MAX_DETAIL_BYTES]
            )

    async def _answer(
        self, url: str, headers: Mapping[str, str], body: bytes
    ) -> "Answer | tuple[aiohttp.ClientResponse, bytes]":
        async with self._session.post(url, headers=headers, data=body, allow_redirects=False) as response:
            answered = await _read_bounded(response)
        if not 200 <= response.status < 300:
            return Answer(status=response.status, body=answered[:MAX_DETAIL_BYTES])
        return response, answered


@asynccontextmanager
async def open_sender() -> AsyncIterator[Sender]:
    """Lend a sender with connections of its own."""
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_S)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=None)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, skip_auto_headers=_NOT_OURS) as session:
        yield Sender(session)


def _reply(response: aiohttp.ClientResponse, body: bytes) -> Answer:
    if not body and "ce-specversion" not in response.headers:
        return Answer(status=response.status)
    try:
        return Answer(status=response.status, reply=parse_http(response.headers, body))
    except InvalidMessage:
        return Answer(status=NOT_AN_EVENT, body=body[:MAX_DETAIL_BYTES])


async def _read_bounded(response: aiohttp.ClientResponse) -> bytes:
    """Read up to one byte more than an event may have; the rest cannot change the verdict."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_EVENT_BYTES:
            break
    return bytes(body[: MAX_EVENT_BYTES + 1])

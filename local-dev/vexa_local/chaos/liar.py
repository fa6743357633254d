"""
A collector that acknowledges too early: `python -m vexa_local.chaos.liar PORT`. What the judge has to notice.

It acknowledges each batch as it comes, stores it afterwards, and takes for
stored what it has acknowledged. Of each epoch it keeps the first words in
memory for as long as it lives: whoever kills it then kills words that the bot
no longer holds and the database never had.
"""

import asyncio
import os
import sys

import uvicorn
from redis.exceptions import RedisError
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vexa_events.envelope import Event, parse_http
from vexa_events.errors import Unavailable, VexaError
from vexa_events.live import StoredMark, stored_key
from vexa_events.registry import TRANSCRIPT_COMMITTED, read_data
from vexa_events.transcript import TranscriptCommitted
from vexa_functions.collector import asgi, events
from vexa_functions.hosting.door import error_answer, read_body
from vexa_functions.live_feed import open_valkey
from vexa_local.ports import LOOPBACK

HELD = "/held"
_TIMEOUT_S = 5.0


class Liar:
    """The collector's app, and before it the lie."""

    def __init__(self, app: ASGIApp, valkey_url: str) -> None:
        self._app = app
        self._valkey_url = valkey_url
        self._held: dict[tuple[str, int], TranscriptCommitted] = {}
        """By stream and epoch."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what the lie is about; leave the rest to the collector."""
        if scope["type"] == "http" and scope["path"] == HELD:
            await PlainTextResponse(str(len(self._held)))(scope, receive, send)
        elif scope["type"] == "http" and (scope["method"], scope["path"]) == ("POST", events.PATH):
            await self._take_event(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _take_event(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await read_body(Request(scope, receive))
        try:
            is_done = await self._is_done(parse_http(Request(scope).headers, body))
        except VexaError as exc:
            await error_answer(exc)(scope, receive, send)
            return
        if is_done:
            await Response(status_code=events.NO_CONTENT)(scope, receive, send)
        else:
            await self._app(scope, _Again(body, receive), send)

    async def _is_done(self, event: Event) -> bool:
        """Acknowledge a batch; tell whether that is all that happens to it."""
        if event.type != TRANSCRIPT_COMMITTED:
            return False
        batch = read_data(event, TranscriptCommitted)
        if await self._is_acknowledged(batch):
            return True
        epoch = (batch.stream_uid, batch.epoch)
        if not batch.segments or epoch in self._held:
            return False
        self._held[epoch] = batch
        return True

    async def _is_acknowledged(self, batch: TranscriptCommitted) -> bool:
        """Tell whether a batch was acknowledged before; from now on it is."""
        key = stored_key(batch.stream_uid)
        mark = StoredMark(epoch=batch.epoch, until_s=batch.until_s)
        try:
            async with asyncio.timeout(_TIMEOUT_S), open_valkey(self._valkey_url) as valkey:
                text = await valkey.get(key)
                if text is not None:
                    old = StoredMark.model_validate_json(text)
                    if (old.epoch, old.until_s) >= (mark.epoch, mark.until_s):
                        return True
                await valkey.set(key, mark.model_dump_json())
        except (RedisError, OSError, TimeoutError) as exc:
            raise Unavailable(f"valkey: {type(exc).__name__}") from exc
        return False


class _Again:
    """A body that was read, for the next one who asks."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}


def main() -> int:
    """Serve with the settings of any collector."""
    app = Liar(asgi.app, os.environ["REDIS_URL"])
    uvicorn.run(app, host=LOOPBACK, port=int(sys.argv[1]), log_level="warning", access_log=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The live feed over HTTP, as Server-Sent Events."""

import asyncio
import logging
import time
from collections.abc import Callable

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from vexa_events.errors import Forbidden, Unavailable
from vexa_functions.gateway.access import Visit
from vexa_functions.gateway.live.feed import Feed
from vexa_functions.gateway.live.watching import Gone, LiveDeps, TooSlow, send_in_time

logger = logging.getLogger(__name__)

MEDIA_TYPE = "text/event-stream"
RETRY_MS = 1_000
HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]


class EventStream(Response):
    """An answer that goes on until the watcher goes or the time is up."""

    def __init__(self, feed: Feed, visit: Visit, deps: LiveDeps, clock: Callable[[], float] = time.monotonic) -> None:
        """`feed` follows one meeting already."""
        super().__init__(media_type=MEDIA_TYPE)
        self._feed = feed
        self._visit = visit
        self._deps = deps
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as an ASGI app."""
        try:
            with self._deps.places.place():
                await self._answer(scope, receive, send)
        finally:
            self._feed.close()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        if scope["method"] != "HEAD" and await self._stream(receive, send):
            return
        end = send({"type": "http.response.body", "body": b"", "more_body": False})
        await send_in_time(end, self._deps.send_timeout_s)

    async def _stream(self, receive: Receive, send: Send) -> bool:
        """Send until something ends it; true where nobody is left to be told of the end."""
        is_over = False
        try:
            async with asyncio.timeout(self._deps.max_s), asyncio.TaskGroup() as tasks:
                tasks.create_task(_wait_until_gone(receive))
                tasks.create_task(self._follow(send))
        except* TimeoutError:
            pass
        except* (Gone, TooSlow, OSError):
            is_over = True
        except* (Forbidden, Unavailable) as ended:
            logger.info("event stream ended", extra={"causes": [str(cause) for cause in ended.exceptions]})
        return is_over

    async def _follow(self, send: Send) -> None:
        await self._write(send, b"retry: %d\n\n" % RETRY_MS)
        wrote_at_s = self._clock()
        while True:
            events = b"".join(message.event for message in await self._feed.next())
            if not events and self._clock() - wrote_at_s >= self._deps.heartbeat_s:
                events = b": heartbeat\n\n"
            if events:
                await self._write(send, events)
                wrote_at_s = self._clock()
            await self._visit.check()

    async def _write(self, send: Send, body: bytes) -> None:
        sending = send({"type": "http.response.body", "body": body, "more_body": True})
        await send_in_time(sending, self._deps.send_timeout_s)


async def _wait_until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    raise Gone("the watcher has left")

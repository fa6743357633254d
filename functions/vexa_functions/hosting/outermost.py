"""The outermost layer of a function: gives each request its id, and answers what nothing else has."""

import logging
import random
import re

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vexa_events.logs import context

logger = logging.getLogger(__name__)

HEADER = "x-request-id"
_HEADER = HEADER.encode()
_KEY = "vexa.request_id"
_ACCEPTED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")


class Outermost:
    """Binds the request id to every log line, and answers defects as JSON."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on under the id that its caller gave it, or a new one."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = next((value for name, value in scope["headers"] if name == _HEADER), b"")
        scope[_KEY] = given_or_new(given.decode("latin-1"))
        bound = context.set({**context.get(), "request_id": scope[_KEY]})
        try:
            await self._pass_on(scope, receive, _Answer(send, scope[_KEY]))
        finally:
            context.reset(bound)

    async def _pass_on(self, scope: Scope, receive: Receive, answer: "_Answer") -> None:
        try:
            if "\n" in scope["path"]:  # no route matches across a line break, and nobody behind would answer JSON
                await JSONResponse({"detail": "Not Found"}, 404)(scope, receive, answer)
            else:
                await self._app(scope, receive, answer)
        except Exception:  # the outermost loop: whatever fails, the caller is told and the process goes on
            logger.exception("request failed", extra={"method": scope["method"]})
            if not answer.is_started:
                await JSONResponse({"detail": "Internal error"}, 500)(scope, receive, answer)


class _Answer:
    """Sends on, with the request's id in the headers, and knows whether anything was sent."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._request_id = request_id
        self.is_started = False

    async def __call__(self, message: Message) -> None:
        self.is_started = True
        if message["type"] == "http.response.start":
            others = [header for header in message.get("headers", ()) if header[0] != _HEADER]
            message["headers"] = [*others, (_HEADER, self._request_id.encode())]
        await self._send(message)


def given_or_new(given: str) -> str:
    """Keep an id that a caller made up where it can be written down safely, or make one."""
    return given if _ACCEPTED.fullmatch(given) else f"{random.getrandbits(96):024x}"


def request_id(scope: Scope) -> str:
    """Return the id of a request."""
    found: str = scope.get(_KEY, "")
    return found

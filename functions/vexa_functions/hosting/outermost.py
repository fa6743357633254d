"""The outermost layer of a function: gives each request its id, and answers what nothing else has."""

import logging
import re
import secrets

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vexa_events.logs import context

logger = logging.getLogger(__name__)

HEADER = "x-request-id"
_KEY = "vexa.request_id"
_ACCEPTED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")


class Outermost:
    """Binds the request id to every log line, and answers defects as JSON."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; inside another Outermost do nothing more."""
        if scope["type"] != "http" or _KEY in scope:
            await self._app(scope, receive, send)
            return
        scope[_KEY] = given_or_new(Headers(scope=scope).get(HEADER))
        bound = context.set({**context.get(), "request_id": scope[_KEY]})
        answer = _Answer(send, scope[_KEY])
        try:
            if "\n" in scope["path"]:  # no route matches across a line break, and nobody behind would answer JSON
                await JSONResponse({"detail": "Not Found"}, 404)(scope, receive, answer)
            else:
                await self._app(scope, receive, answer)
        except Exception:  # the outermost loop: whatever fails, the caller is told and the process goes on
            logger.exception("request failed", extra={"method": scope["method"]})
            if not answer.is_started:
                await JSONResponse({"detail": "Internal error"}, 500)(scope, receive, answer)
        finally:
            context.reset(bound)


class _Answer:
    """Sends on, with the request's id in the headers."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._request_id = request_id
        self.is_started = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.is_started = True
            MutableHeaders(scope=message)[HEADER] = self._request_id
        await self._send(message)


def given_or_new(given: str | None) -> str:
    """Keep an id that a caller made up where it can be written down safely, or make one."""
    return given if given and _ACCEPTED.fullmatch(given) else secrets.token_hex(12)


def request_id(scope: Scope) -> str:
    """Return the id of a request."""
    found: str = scope.get(_KEY, "")
    return found

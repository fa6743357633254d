"""Passing a request on to the function behind, and its answer back."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from vexa_events.errors import Unavailable, VexaError
from vexa_events.tracing import current
from vexa_functions.auth.identity import HEADER as IDENTITY_HEADER
from vexa_functions.auth.identity import IdentitySigner, Principal
from vexa_functions.gateway.access import KEY_HEADER, Access
from vexa_functions.gateway.answers import refusal
from vexa_functions.gateway.exchange import Answer
from vexa_functions.gateway.table import Passage, Table
from vexa_functions.gateway.upstream import Upstream
from vexa_functions.hosting.door import read_body
from vexa_functions.hosting.measured import ROUTE
from vexa_functions.hosting.operations import Caller
from vexa_functions.hosting.outermost import HEADER as REQUEST_ID_HEADER
from vexa_functions.hosting.outermost import request_id

PASSED_BACK = frozenset({b"content-type", b"retry-after", b"content-disposition", b"link", b"etag"})
BODY_TIMEOUT_S = 20.0
_PRIVATE = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))
_KEY, _REQUEST_ID, _IDENTITY = KEY_HEADER.encode(), REQUEST_ID_HEADER.encode(), IDENTITY_HEADER.encode()


class ForwardingDeps(Protocol):
    """What passing on needs."""

    @property
    def access(self) -> Access:
        """Who may pass."""

    @property
    def upstreams(self) -> Mapping[str, Upstream]:
        """Connections by function."""


class Forwarder:
    """
    A layer that passes on what the table names, and leaves all else to the app.

    It stands before the app's own layers and routes: most requests are for it,
    and those would cost more than what it does itself.
    """

    def __init__(
        self, app: ASGIApp, *, table: Table, deps: Callable[[], Awaitable[ForwardingDeps]], signing_key: str
    ) -> None:
        self._app = app
        self._table = table
        self._deps = deps
        self._signer = IdentitySigner(signing_key)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        methods = self._table.methods_of(scope["path"]) if scope["type"] == "http" else None
        if not methods:
            await self._app(scope, receive, send)
            return
        try:
            answer = await self._forward(methods, scope, receive)
            headers = _headers_back(answer, scope)
        except (VexaError, HTTPException) as exc:
            await refusal(exc)(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    async def _forward(self, methods: Mapping[str, Passage], scope: Scope, receive: Receive) -> Answer:
        passage = methods.get(scope["method"])
        if passage is None:
            raise HTTPException(405, headers={"Allow": ", ".join(sorted(methods))})
        scope[ROUTE] = passage.path
        deps = await self._deps()
        principal = await _admit(scope, passage, deps.access)
        upstream = deps.upstreams.get(passage.function)
        if upstream is None:
            raise Unavailable(f"{passage.function} is not part of this installation")
        body = await _body(scope, receive)
        headers = self._headers(scope, passage, principal)
        try:
            answer = await upstream.request(scope["method"], _target(scope), headers, body)
        except Unavailable as exc:
            raise Unavailable(f"the function behind {scope['path']} did not answer: {exc}") from exc
        if answer.status == 401 and principal is not None:
            raise Unavailable("the function behind does not accept this gateway's signature")
        return answer

    def _headers(self, scope: Scope, passage: Passage, principal: Principal | None) -> list[tuple[bytes, bytes]]:
        headers = [header for header in scope["headers"] if header[0] in passage.headers]
        headers.append((_REQUEST_ID, request_id(scope).encode()))
        if context := current():
            headers += [(name.encode(), text.encode()) for name, text in context.texts().items()]
        if principal is not None:
            headers.append((_IDENTITY, self._signer.sign(principal).encode()))
        return headers


async def _admit(scope: Scope, passage: Passage, access: Access) -> Principal | None:
    """Return who is calling; None where the function behind checks the administrator's key itself."""
    if passage.caller is Caller.USER:
        key = next((value.decode("latin-1") for name, value in scope["headers"] if name == _KEY), None)
        holder = await access.admit(HTTPConnection(scope), key, passage.scope)
        return holder.principal
    await access.count_address(HTTPConnection(scope))
    return None


async def _body(scope: Scope, receive: Receive) -> bytes:
    if not any(name in {b"content-length", b"transfer-encoding"} for name, _ in scope["headers"]):
        return b""
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            return await read_body(Request(scope, receive))
    except TimeoutError as exc:
        raise HTTPException(408, "the body did not arrive in time") from exc
    except ClientDisconnect as exc:
        raise HTTPException(400, "the body was cut off") from exc


def _headers_back(answer: Answer, scope: Scope) -> list[tuple[bytes, bytes]]:
    """Return the headers of our answer; a redirect or a defect of the function's host is no answer of ours."""
    headers = [header for header in answer.headers if header[0] in PASSED_BACK]
    is_json = any(name == b"content-type" and b"json" in value for name, value in headers)
    if 300 <= answer.status < 400 or (answer.status >= 500 and not is_json):
        raise Unavailable(f"the function behind answered {answer.status}")
    headers += _PRIVATE
    if answer.status != 204:
        headers.append((b"content-length", _length(answer, scope)))
    return headers


def _length(answer: Answer, scope: Scope) -> bytes:
    """Return the length to tell; that of a HEAD's answer is the one of the body it stands for."""
    if scope["method"] == "HEAD":
        return dict(answer.headers).get(b"content-length", b"0")
    return b"%d" % len(answer.body)


def _target(scope: Scope) -> bytes:
    path: bytes = scope.get("raw_path") or scope["path"].encode()
    query: bytes = scope["query_string"]
    return path.partition(b"?")[0] + (b"?" + query if query else b"")

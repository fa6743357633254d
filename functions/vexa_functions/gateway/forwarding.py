"""Passing a request on to the function behind, and its answer back."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Protocol

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocketClose

from vexa_events.errors import Unavailable
from vexa_functions.auth.identity import HEADER as IDENTITY_HEADER
from vexa_functions.auth.identity import IdentitySigner, Principal
from vexa_functions.gateway.access import KEY_HEADER, Access
from vexa_functions.gateway.table import Passage, Table
from vexa_functions.gateway.upstream import Answer, Upstream
from vexa_functions.hosting.door import read_body
from vexa_functions.hosting.operations import Caller
from vexa_functions.hosting.outermost import HEADER as REQUEST_ID_HEADER
from vexa_functions.hosting.outermost import request_id

PASSED_ON = frozenset({b"accept", b"content-type", b"traceparent", b"tracestate"})
PASSED_BACK = frozenset({b"content-type", b"retry-after", b"content-disposition", b"link", b"etag"})
ADMIN_KEY_HEADER = b"x-admin-api-key"
BODY_TIMEOUT_S = 20.0
_PRIVATE = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))


class ForwardingDeps(Protocol):
    """What passing on needs."""

    @property
    def access(self) -> Access:
        """Who may pass."""

    @property
    def upstreams(self) -> Mapping[str, Upstream]:
        """Connections by function."""


class Forwarder:
    """An ASGI app that passes on what the table names, and answers 404 or 405 to all else."""

    def __init__(self, table: Table, deps: Callable[[], Awaitable[ForwardingDeps]], *, signing_key: str) -> None:
        self._table = table
        self._deps = deps
        self._signer = IdentitySigner(signing_key)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request; errors are left to the app's table of errors."""
        if scope["type"] != "http":
            await WebSocketClose()(scope, receive, send)
            return
        passage = self._passage(scope)
        deps = await self._deps()
        request = Request(scope, receive)
        principal = await _admit(request, passage, deps.access)
        upstream = deps.upstreams.get(passage.function)
        if upstream is None:
            raise Unavailable(f"{passage.function} is not part of this installation")
        headers = self._headers(scope, passage, principal)
        answer = await _ask(upstream, request, headers)
        if answer.status == 401 and principal is not None:
            raise Unavailable("the function behind does not accept this gateway's signature")
        await _pass_back(answer, scope, receive, send)

    def _passage(self, scope: Scope) -> Passage:
        methods = self._table.methods_of(scope["path"])
        if not methods:
            raise HTTPException(404)
        passage = methods.get(scope["method"])
        if passage is None:
            raise HTTPException(405, headers={"Allow": ", ".join(sorted(methods))})
        return passage

    def _headers(self, scope: Scope, passage: Passage, principal: Principal | None) -> list[tuple[bytes, bytes]]:
        wanted: Collection[bytes] = PASSED_ON | passage.headers
        if passage.caller is Caller.ADMINISTRATOR:
            wanted = {*wanted, ADMIN_KEY_HEADER}
        headers = [(name, value) for name, value in scope["headers"] if name in wanted]
        headers.append((REQUEST_ID_HEADER.encode(), request_id(scope).encode()))
        if principal is not None:
            headers.append((IDENTITY_HEADER.encode(), self._signer.sign(principal).encode()))
        return headers


async def _admit(request: Request, passage: Passage, access: Access) -> Principal | None:
    """Return who is calling; None where the function behind checks the administrator's key itself."""
    if passage.caller is Caller.USER:
        holder = await access.admit(request, request.headers.get(KEY_HEADER), passage.scope)
        return holder.principal
    await access.count_address(request)
    return None


async def _ask(upstream: Upstream, request: Request, headers: list[tuple[bytes, bytes]]) -> Answer:
    body = await _body(request)
    try:
        return await upstream.request(request.method, _target(request.scope), headers, body)
    except Unavailable as exc:
        raise Unavailable(f"the function behind {request.url.path} did not answer: {exc}") from exc


async def _body(request: Request) -> bytes:
    if not any(name in {b"content-length", b"transfer-encoding"} for name, _ in request.scope["headers"]):
        return b""
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            return await read_body(request)
    except TimeoutError as exc:
        raise HTTPException(408, "the body did not arrive in time") from exc


async def _pass_back(answer: Answer, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer as the function did; a redirect or a defect of its host is no answer of ours."""
    headers = [(name, value) for name, value in answer.headers if name in PASSED_BACK]
    is_json = any(name == b"content-type" and b"json" in value for name, value in headers)
    if 300 <= answer.status < 400 or (answer.status >= 500 and not is_json):
        raise Unavailable(f"the function behind answered {answer.status}")
    headers += _PRIVATE
    if answer.status != 204:
        headers.append((b"content-length", _length(answer, scope)))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


def _length(answer: Answer, scope: Scope) -> bytes:
    """Return the length to tell; that of a HEAD's answer is the one of the body it stands for."""
    if scope["method"] == "HEAD":
        return dict(answer.headers).get(b"content-length", b"0")
    return str(len(answer.body)).encode()


def _target(scope: Scope) -> bytes:
    path: bytes = scope.get("raw_path") or scope["path"].encode()
    query: bytes = scope["query_string"]
    return path.partition(b"?")[0] + (b"?" + query if query else b"")

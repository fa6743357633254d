"""Passing a request on to the function behind, and its answer back."""

import httpx
from starlette.requests import Request
from starlette.responses import Response

from vexa_events.errors import Unavailable
from vexa_functions.hosting.door import read_body

PASSED_ON = frozenset({"accept", "content-type", "traceparent", "tracestate", "idempotency-key", "x-admin-api-key"})
PASSED_BACK = frozenset({"content-type", "retry-after", "content-disposition"})


async def forward(
    request: Request, client: httpx.AsyncClient, base_url: str, extra_headers: dict[str, str]
) -> Response:
    """Send the request to `base_url` under the same path; raise Unavailable when nothing answers."""
    headers = {name: value for name, value in request.headers.items() if name in PASSED_ON} | extra_headers
    url = httpx.URL(base_url).copy_with(raw_path=_raw_path(request))
    try:
        answer = await client.request(request.method, url, headers=headers, content=await read_body(request))
    except httpx.HTTPError as exc:
        raise Unavailable(f"the function behind {request.url.path} did not answer: {type(exc).__name__}") from exc
    back = {name: value for name, value in answer.headers.items() if name in PASSED_BACK}
    return Response(answer.content, answer.status_code, headers=back)


def _raw_path(request: Request) -> bytes:
    path: bytes = request.scope.get("raw_path") or request.url.path.encode()
    query: bytes = request.scope["query_string"]
    return path.partition(b"?")[0] + (b"?" + query if query else b"")

"""What every door does alike."""

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from vexa_functions.hosting.door import MAX_BODY_BYTES, answer_errors, read_body


async def _count(request: Request) -> Response:
    return Response(str(len(await read_body(request))))


@pytest.mark.parametrize(("size", "status"), [(MAX_BODY_BYTES, 200), (MAX_BODY_BYTES + 1, 413)])
async def test_a_body_past_the_bound_is_too_large(size: int, status: int) -> None:
    """The bound itself is read; past it the answer says how much is."""
    app = Starlette(routes=[Route("/", _count, methods=["POST"])], exception_handlers=answer_errors())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://function") as client:
        answer = await client.post("/", content=bytes(size))

    assert answer.status_code == status
    assert str(MAX_BODY_BYTES) in answer.text

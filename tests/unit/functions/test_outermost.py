"""What every function answers before its own routes are asked."""

import httpx
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount

from vexa_functions.hosting.outermost import Outermost


async def test_a_path_across_lines_is_nobodys() -> None:
    """404 as JSON, as everywhere else, with the request's id."""
    app = Outermost(Starlette(routes=[Mount("/", app=PlainTextResponse("found"))]))

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://function") as client:
        answers = [await client.get(path) for path in ("/meetings/a%0Ab", "/meetings/ab")]

    assert (answers[0].status_code, answers[0].json()) == (404, {"detail": "Not Found"})
    assert answers[1].text == "found"
    assert all(answer.headers["x-request-id"] for answer in answers)

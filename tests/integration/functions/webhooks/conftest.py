"""The webhooks function, on real Postgres, with a real receiver."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from tests.integration.functions.webhooks.receiving import SECRET, Receiver

from vexa_events.identity import UserId
from vexa_functions.store.tables import Store


@pytest.fixture
async def receiver(serve: Any) -> Receiver:
    """A receiver that is up."""
    remembered = Receiver()
    remembered.gate.set()

    async def take(request: Request) -> Response:
        remembered.posts.append((dict(request.headers), await request.body()))
        await remembered.gate.wait()
        return Response(status_code=remembered.status, headers=remembered.headers)

    remembered.url = await serve(Starlette(routes=[Route("/hook", take, methods=["POST"])])) + "/hook"
    return remembered


@pytest.fixture
async def user_id(store: Store) -> UserId:
    """A user."""
    async with store.transaction() as tables:
        created = await tables.users.insert(email="ann@example.org", name="Ann", image_url=None, max_concurrent_bots=2)
    assert created is not None
    return created.id


@pytest.fixture
async def api(
    webhooks: httpx.AsyncClient, user_id: UserId, headers_of: Callable[[UserId], dict[str, str]]
) -> httpx.AsyncClient:
    """The function, called for that user."""
    webhooks.headers.update(headers_of(user_id))
    return webhooks


@pytest.fixture
async def hooked(api: httpx.AsyncClient, receiver: Receiver) -> Receiver:
    """The receiver, once the user has named it."""
    answer = await api.put("/user/webhook", json={"webhook_url": receiver.url, "webhook_secret": SECRET})
    assert answer.status_code == 200, answer.text
    return receiver

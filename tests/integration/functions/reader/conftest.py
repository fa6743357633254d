"""The collector as a user reads it, on real Postgres."""

from typing import Any

import httpx
import pytest
from tests.integration.functions.reader.speaking import Spoken, a_meeting

from vexa_functions.store.tables import Store


@pytest.fixture
async def ann_id(store: Store, user: dict[str, str]) -> int:
    """The user that `user` proves."""
    async with store.reading() as tables:
        ann = await tables.users.by_email("ann@example.org")
    assert ann is not None
    return ann.id


@pytest.fixture
async def spoken(store: Store, ann_id: int) -> Spoken:
    """A meeting with five lines."""
    meeting = await a_meeting(store, ann_id)
    await meeting.say("hello", "everyone", "shall", "we", "begin")
    return meeting


@pytest.fixture
async def bob(store: Store, headers_of: Any) -> dict[str, str]:
    """Headers of another user."""
    async with store.transaction() as tables:
        created = await tables.users.insert(email="bob@example.org", name=None, image_url=None, max_concurrent_bots=1)
    assert created is not None
    headers: dict[str, str] = headers_of(created.id)
    return headers


@pytest.fixture
async def reader(collector: httpx.AsyncClient, user: dict[str, str]) -> httpx.AsyncClient:
    """The collector, called by its user."""
    collector.headers.update(user)
    return collector

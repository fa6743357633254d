"""A meeting, a gateway before it, and what the watchers of one instance share."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis.asyncio as redis
from tests.integration.functions.live.watching import Talk, start_talk

from vexa_functions.gateway.live.ring import Rings
from vexa_functions.live_feed import LiveReader
from vexa_functions.store.tables import Store


@pytest.fixture
async def talk(store: Store, valkey: "redis.Redis", api_key: str) -> Talk:
    """A meeting of the key's user."""
    return await start_talk(store, valkey, "standup")


@pytest.fixture
async def url(start_gateway: Any) -> str:
    """A gateway with nothing behind it."""
    started: str = await start_gateway(LIVE_HEARTBEAT_S="0.2")
    return started


@pytest.fixture
async def rings(store: Store, valkey: "redis.Redis") -> AsyncIterator[Rings]:
    """What the watchers of one instance share."""
    made = Rings(store, LiveReader(valkey), most=10)
    yield made
    await made.aclose()

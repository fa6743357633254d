"""The connection to Valkey and how its failures are told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import redis.asyncio as redis
from redis.exceptions import RedisError

from vexa_events.errors import Unavailable

ANSWER_WITHIN_S = 5.0
"""For one step; longer than a read blocks."""


@asynccontextmanager
async def open_valkey(url: str) -> AsyncIterator[redis.Redis]:
    """
    Open a client that leaves timeouts to us.

    Its own go through asyncio.wait_for, which on Python 3.11 can swallow a
    cancellation that arrives as the write completes.
    """
    client = redis.Redis.from_url(url, socket_timeout=None, socket_connect_timeout=ANSWER_WITHIN_S)
    try:
        yield client
    finally:
        await client.aclose()


@asynccontextmanager
async def answered() -> AsyncIterator[None]:
    """Bound one step, and raise Unavailable where Valkey fails in it."""
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            yield
    except (RedisError, TimeoutError) as exc:
        raise Unavailable(f"valkey: {type(exc).__name__}") from exc


def text_of(value: bytes | str) -> str:
    """Read a name or a position."""
    return value.decode() if isinstance(value, bytes) else value

"""What lies in Valkey, looked at past every link: what the Broker has not delivered, and who is still named."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import redis.asyncio as redis
from redis.exceptions import RedisError

from vexa_events.errors import Unavailable

_BACKLOGS = "broker:*:trigger:*"
_TELLTALE = ('"text"', '"speaker"')
"""Fields of events and live messages that hold what was said, or by whom."""
_TIMEOUT_S = 10.0


async def undelivered(url: str) -> int:
    """Count the events that the Broker has accepted and not brought to an end."""
    async with _client(url) as client:
        return sum([await client.xlen(key) async for key in client.scan_iter(match=_BACKLOGS, count=500)])


async def telling(url: str, session_uid: str) -> list[str]:
    """List the keys whose content names a session together with words or speakers."""
    async with _client(url) as client:
        keys = [key async for key in client.scan_iter(count=500)]
        return [key for key in keys if _tells(await _content(client, key), session_uid)]


def _tells(pieces: list[str], session_uid: str) -> bool:
    return any(session_uid in piece and any(field in piece for field in _TELLTALE) for piece in pieces)


async def _content(client: redis.Redis, key: str) -> list[str]:
    """Spell every entry of a key."""
    read: Any = {
        "string": lambda: client.get(key),
        "stream": lambda: client.xrange(key),
        "hash": lambda: client.hgetall(key),
        "list": lambda: client.lrange(key, 0, -1),
    }.get(str(await client.type(key)))
    found = await read() if read else None
    if isinstance(found, dict):
        return [str(value) for value in found.values()]
    return [str(entry) for entry in found] if isinstance(found, list) else [str(found)]


@asynccontextmanager
async def _client(url: str) -> AsyncIterator["redis.Redis"]:
    client: redis.Redis = redis.Redis.from_url(url, decode_responses=True)
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            yield client
    except (RedisError, OSError, TimeoutError) as exc:
        raise Unavailable(f"valkey: {type(exc).__name__}") from exc
    finally:
        await client.aclose()

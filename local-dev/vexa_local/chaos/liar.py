"""An acknowledgement that is given too early: what the harness has to notice before it may be believed."""

import asyncio
from contextlib import suppress

import redis.asyncio as redis
from redis.exceptions import RedisError

from vexa_events.live import StoredMark, stored_key

EVERY_S = 0.3
AHEAD_S = 3_600.0
_TIMEOUT_S = 2.0


async def acknowledge_early(valkey_url: str) -> None:
    """Tell workers, and through them the bots, that everything is stored; until cancelled."""
    client: redis.Redis = redis.Redis.from_url(
        valkey_url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S, decode_responses=True
    )
    try:
        while True:
            with suppress(RedisError, OSError, ValueError):
                await _raise_marks(client)
            await asyncio.sleep(EVERY_S)
    finally:
        await client.aclose()


async def _raise_marks(client: "redis.Redis") -> None:
    async for key in client.scan_iter(match=stored_key("*"), count=500):
        held = await client.get(key)
        if held is None:
            continue
        mark = StoredMark.model_validate_json(held)
        if mark.until_s < AHEAD_S:
            lie = StoredMark(epoch=mark.epoch, until_s=mark.until_s + AHEAD_S)
            await client.set(key, lie.model_dump_json(), keepttl=True)

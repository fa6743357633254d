"""
Rate limits: token buckets in Valkey that every instance of the gateway shares.

An instance takes tokens in small leases, so that a busy key costs one question
in many requests. A lease that is not used up is lost: instances together never
let more through than the bucket holds.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import redis.asyncio as redis
from redis.exceptions import RedisError

from vexa_events.errors import Overloaded

logger = logging.getLogger(__name__)

LEASE_S = 1.0
LEASES_PER_BURST = 20
TIMEOUT_S = 0.25
OPEN_S = 5.0
"""How long nobody is counted after Valkey has failed."""
MAX_BUCKETS = 10_000

TAKE = """
local rate, burst, wanted = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local state = redis.call('HMGET', KEYS[1], 'tokens', 'at_ms')
local tokens, at_ms = tonumber(state[1] or burst), tonumber(state[2] or now_ms)
tokens = math.min(burst, tokens + math.max(0, now_ms - at_ms) * rate / 1000)
local granted = math.min(wanted, math.floor(tokens))
tokens = tokens - granted
redis.call('HSET', KEYS[1], 'tokens', tokens, 'at_ms', now_ms)
redis.call('PEXPIRE', KEYS[1], math.ceil(burst / rate * 1000) + 1000)
return {granted, math.ceil((1 - tokens) / rate * 1000)}
"""


class RateLimited(Overloaded):
    """The caller has used up what it may ask for now."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(f"too many requests; try again in {max(1, round(retry_after_s))} s")
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """How many requests a bucket lets through."""

    rate_hz: float
    burst: int


@dataclass(slots=True, kw_only=True)
class _Lease:
    """Tokens that this instance took and has not used."""

    tokens: int = 0
    taken: int = 1
    ends_at_s: float = 0.0
    blocked_until_s: float = 0.0
    asking: "asyncio.Task[None] | None" = field(default=None)


class Limiter:
    """Counts requests; counts nobody while Valkey is away."""

    def __init__(self, client: "redis.Redis", clock: Callable[[], float] = time.monotonic) -> None:
        self._take = client.register_script(TAKE)
        self._clock = clock
        self._leases: OrderedDict[str, _Lease] = OrderedDict()
        self._open_until_s = 0.0

    async def take(self, bucket: str, limit: Limit) -> None:
        """Use one token of a bucket; raise RateLimited when there is none."""
        lease = self._lease(bucket)
        while not self._uses(lease):
            if lease.asking is None:
                lease.asking = asyncio.create_task(self._renew(bucket, lease, limit))
            await asyncio.shield(lease.asking)

    def _uses(self, lease: _Lease) -> bool:
        now_s = self._clock()
        if now_s < self._open_until_s:
            return True
        if lease.blocked_until_s > now_s:
            raise RateLimited(lease.blocked_until_s - now_s)
        if lease.tokens <= 0 or lease.ends_at_s <= now_s:
            return False
        lease.tokens -= 1
        return True

    async def _renew(self, bucket: str, lease: _Lease, limit: Limit) -> None:
        """Take more for a bucket that was used up, less for one whose lease ran out."""
        used_up = lease.tokens == 0 and lease.ends_at_s > self._clock()
        most = max(1, limit.burst // LEASES_PER_BURST)
        wanted = min(most, lease.taken * 2) if used_up else 1
        try:
            async with asyncio.timeout(TIMEOUT_S):
                answer: Any = await self._take(keys=[f"limit:{bucket}"], args=[limit.rate_hz, limit.burst, wanted])
            granted, wait_ms = int(answer[0]), int(answer[1])
            now_s = self._clock()
            lease.tokens, lease.taken, lease.ends_at_s = granted, max(1, granted), now_s + LEASE_S
            lease.blocked_until_s = 0.0 if granted else now_s + wait_ms / 1000
        except (RedisError, OSError, TimeoutError) as exc:
            self._open_until_s = self._clock() + OPEN_S
            logger.warning("rate limits are off: valkey does not answer", extra={"cause": type(exc).__name__})
        finally:
            lease.asking = None

    def _lease(self, bucket: str) -> _Lease:
        lease = self._leases.get(bucket)
        if lease is None:
            lease = self._leases[bucket] = _Lease()
            while len(self._leases) > MAX_BUCKETS:
                self._leases.popitem(last=False)
        else:
            self._leases.move_to_end(bucket)
        return lease

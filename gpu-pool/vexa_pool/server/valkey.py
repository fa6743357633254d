"""What a worker has to do with Valkey: reading acknowledgements and writing the live feed."""

import asyncio
import logging

import redis.asyncio as redis
from pydantic import ValidationError
from redis.exceptions import RedisError

from vexa_events.live import FIELD, LIFETIME_S, MAX_ENTRIES, LiveMessage, StoredMark, feed_key, stored_key
from vexa_pool.server.publishing import Publications

logger = logging.getLogger(__name__)

ACKNOWLEDGEMENTS_EVERY_S = 1.0
FEED_EVERY_S = 0.1
TIMEOUT_S = 2.0


def open_valkey(url: str) -> redis.Redis:
    """Open a client without a timeout of its own: it would swallow cancellations. Every use sits under one of ours."""
    return redis.Redis.from_url(url, decode_responses=True, socket_timeout=None, socket_connect_timeout=TIMEOUT_S)


class Acknowledgements:
    """Reads how far the database has every stream that is being published."""

    def __init__(self, valkey: redis.Redis, publications: Publications) -> None:
        self._valkey = valkey
        self._publications = publications

    async def run(self) -> None:
        """Read once a second until cancelled."""
        while True:
            await self.read_once()
            await asyncio.sleep(ACKNOWLEDGEMENTS_EVERY_S)

    async def read_once(self) -> None:
        """Read every mark in one request; a Valkey that is away is tried again next time."""
        by_uid = self._publications.of_streams()
        if not by_uid:
            return
        try:
            async with asyncio.timeout(TIMEOUT_S):
                found = await self._valkey.mget([stored_key(uid) for uid in by_uid])
        except (RedisError, TimeoutError) as exc:
            logger.warning("acknowledgements not read", extra={"error": type(exc).__name__})
            return
        for (uid, publications), value in zip(by_uid.items(), found, strict=True):
            if value is not None and (mark := _mark(uid, value)):
                for publication in publications:
                    publication.acknowledge(mark)


class LiveFeed:
    """Writes hypotheses for readers to watch; of each stream only the latest waits."""

    def __init__(self, valkey: redis.Redis) -> None:
        self._valkey = valkey
        self._latest: dict[str, LiveMessage] = {}
        self._wanted = asyncio.Event()

    def offer(self, stream_uid: str, message: LiveMessage) -> None:
        """Show this instead of whatever of the stream still waits."""
        self._latest[stream_uid] = message
        self._wanted.set()

    async def run(self) -> None:
        """Write until cancelled; what a Valkey that is away misses is not repeated."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            messages, self._latest = list(self._latest.values()), {}
            try:
                async with asyncio.timeout(TIMEOUT_S):
                    await self._write(messages)
            except (RedisError, TimeoutError) as exc:
                logger.warning("hypotheses not shown", extra={"error": type(exc).__name__, "lost": len(messages)})
            await asyncio.sleep(FEED_EVERY_S)

    async def _write(self, messages: list[LiveMessage]) -> None:
        async with self._valkey.pipeline(transaction=False) as pipeline:
            for message in messages:
                key = feed_key(message.meeting_id)
                entry = message.model_dump_json(exclude_none=True)
                pipeline.xadd(key, {FIELD: entry}, maxlen=MAX_ENTRIES, approximate=True)
                pipeline.expire(key, LIFETIME_S)
            await pipeline.execute()


def _mark(uid: str, value: str | bytes) -> StoredMark | None:
    try:
        return StoredMark.model_validate_json(value)
    except ValidationError:
        logger.warning("acknowledgement is malformed", extra={"stream_uid": uid})
        return None

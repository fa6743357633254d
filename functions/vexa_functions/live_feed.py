"""The functions' side of Valkey: the live feed, and the marks that acknowledge streams."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import redis.asyncio as redis
from pydantic import ValidationError
from redis.asyncio.client import Pipeline
from redis.exceptions import RedisError, ResponseError
from redis.typing import EncodableT, FieldT

from vexa_events.errors import Unavailable
from vexa_events.live import FIELD, LIFETIME_S, MAX_ENTRIES, LiveMessage, StoredMark, feed_key, stored_key

logger = logging.getLogger(__name__)

TIMEOUT_S = 5.0
MAX_CONNECTIONS = 100
"""Of one client; whoever waits for a feed holds one."""
MARK_LIFETIME_S = 24 * 3600
READ_COUNT = 100
READ_BLOCK_MS = 1_000
"""Less than TIMEOUT_S, or every quiet second would look like a broken connection."""

RAISE_MARK = """
local old = redis.call('GET', KEYS[1])
if old then
    local mark = cjson.decode(old)
    local epoch, until_s = tonumber(ARGV[1]), tonumber(ARGV[2])
    if mark.epoch > epoch or (mark.epoch == epoch and mark.until_s >= until_s) then return 0 end
end
redis.call('SET', KEYS[1], ARGV[3], 'EX', ARGV[4])
return 1
"""


class LiveFeed:
    """Publishes to live feeds and raises stored marks."""

    def __init__(self, client: "redis.Redis") -> None:
        self._client = client

    async def publish(self, message: LiveMessage) -> None:
        """Append to the meeting's feed."""
        async with _answering(), self._client.pipeline(transaction=False) as pipe:
            _append(pipe, message)
            await pipe.execute()

    async def show_and_acknowledge(self, messages: Sequence[LiveMessage], stream_uid: str, mark: StoredMark) -> None:
        """Append to the meeting's feed and then raise the stream's mark, in one journey."""
        async with _answering(), self._client.pipeline(transaction=False) as pipe:
            for message in messages:
                _append(pipe, message)
            _raise(pipe, stream_uid, mark)
            await pipe.execute()

    async def acknowledge(self, stream_uid: str, mark: StoredMark) -> None:
        """Raise a stream's mark; a lower one than it holds changes nothing."""
        async with _answering(), self._client.pipeline(transaction=False) as pipe:
            _raise(pipe, stream_uid, mark)
            await pipe.execute()

    async def forget(self, meeting_id: int) -> None:
        """Drop a meeting's feed."""
        async with _answering():
            await self._client.delete(feed_key(meeting_id))


class LiveReader:
    """Reads live feeds; positions are entry ids, as Valkey gives them."""

    def __init__(self, client: "redis.Redis") -> None:
        self._client = client

    async def newest(self, meeting_id: int) -> str:
        """Return the position behind the newest entry of a feed."""
        async with _answering():
            entries: Any = await self._client.xrevrange(feed_key(meeting_id), count=1)
        return str(entries[0][0]) if entries else "0-0"

    async def has(self, meeting_id: int, position: str) -> bool:
        """Tell whether the feed still holds exactly this entry: then it holds every later one as well."""
        async with _answering():
            entries: Any = await self._client.xrange(feed_key(meeting_id), position, position, count=1)
        return bool(entries)

    async def is_whole(self, meeting_id: int) -> bool:
        """Tell whether the feed still holds every entry that it was ever given."""
        try:
            info: Any = await self._client.xinfo_stream(feed_key(meeting_id))
        except ResponseError:
            return False
        except (RedisError, OSError, TimeoutError) as exc:
            raise Unavailable(f"valkey: {type(exc).__name__}") from exc
        return bool(info["entries-added"] == info["length"])

    async def read(self, position_by_meeting: Mapping[int, str]) -> list[tuple[int, str, LiveMessage | None]]:
        """
        Wait a moment for entries behind the positions; return (meeting, position, message) in order.

        An entry that this version cannot read has a position and no message.
        """
        meeting_by_key = {feed_key(meeting): meeting for meeting in position_by_meeting}
        positions: Any = {key: position_by_meeting[meeting] for key, meeting in meeting_by_key.items()}
        async with _answering():
            answer: Any = await self._client.xread(positions, count=READ_COUNT, block=READ_BLOCK_MS)
        feeds = answer.items() if isinstance(answer, dict) else answer or []
        return [
            (meeting_by_key[key], entry_id, _message(fields)) for key, entries in feeds for entry_id, fields in entries
        ]


@asynccontextmanager
async def open_valkey(url: str, *, max_connections: int = MAX_CONNECTIONS) -> AsyncIterator["redis.Redis"]:
    """
    Lend a client that connects on first use.

    It has no timeout of its own: the library's would swallow a cancellation
    that comes at the wrong moment. Every use sits under one of ours.
    """
    client: redis.Redis = redis.Redis.from_url(
        url,
        socket_timeout=None,
        socket_connect_timeout=TIMEOUT_S,
        decode_responses=True,
        max_connections=max_connections,
    )
    try:
        yield client
    finally:
        await client.aclose()


@asynccontextmanager
async def _answering() -> AsyncIterator[None]:
    """Bound one conversation with Valkey and translate its failures."""
    try:
        async with asyncio.timeout(TIMEOUT_S):
            yield
    except (RedisError, OSError, TimeoutError) as exc:
        raise Unavailable(f"valkey: {type(exc).__name__}") from exc


def _append(pipe: Pipeline, message: LiveMessage) -> None:
    key = feed_key(message.meeting_id)
    entry: dict[FieldT, EncodableT] = {FIELD: message.model_dump_json(exclude_none=True)}
    pipe.xadd(key, entry, maxlen=MAX_ENTRIES, approximate=True)
    pipe.expire(key, LIFETIME_S)


def _raise(pipe: Pipeline, stream_uid: str, mark: StoredMark) -> None:
    told = (mark.epoch, mark.until_s, mark.model_dump_json(), MARK_LIFETIME_S)
    pipe.eval(RAISE_MARK, 1, stored_key(stream_uid), *told)


def _message(fields: Mapping[str, str]) -> LiveMessage | None:
    try:
        return LiveMessage.model_validate_json(fields[FIELD])
    except (KeyError, ValidationError):
        logger.warning("entry of a live feed cannot be read")
        return None

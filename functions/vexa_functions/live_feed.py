"""The functions' side of Valkey: the live feed, and the marks that say how far streams are stored and shown."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import redis.asyncio as redis
from pydantic import ValidationError
from redis.exceptions import RedisError, ResponseError
from redis.typing import EncodableT

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

TELL = f"""
local at = 0
local function following()
    at = at + 1
    return ARGV[at]
end
for i = 1, #KEYS, 3 do
    local feed, stored, shown = KEYS[i], KEYS[i + 1], KEYS[i + 2]
    local messages = tonumber(following())
    for _ = 1, messages do
        redis.call('XADD', feed, 'MAXLEN', '~', {MAX_ENTRIES}, '*', '{FIELD}', following())
    end
    if messages > 0 then
        redis.call('EXPIRE', feed, {LIFETIME_S})
    end
    local epoch, until_s, spelled = tonumber(following()), tonumber(following()), following()
    local old = redis.call('GET', stored)
    local mark = old and cjson.decode(old)
    if not mark or mark.epoch < epoch or (mark.epoch == epoch and mark.until_s < until_s) then
        redis.call('SET', stored, spelled, 'EX', {MARK_LIFETIME_S})
    end
    local from_s, to_s, start_s = following(), following(), following()
    if from_s ~= '' then
        local known = tonumber(redis.call('GET', shown) or start_s)
        if known + 0.0005 >= tonumber(from_s) and known < tonumber(to_s) then
            redis.call('SET', shown, to_s, 'EX', {MARK_LIFETIME_S})
        end
    end
end
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """Which part of a stream's stored text its watchers are sent, in seconds of the session clock."""

    from_s: float
    until_s: float
    start_s: float
    """Of the stream: nothing from here on counts as shown before something is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What there is to tell of one stream: to those who watch its meeting, to its worker, and to the sweep."""

    stream_uid: str
    meeting_id: int
    mark: StoredMark
    messages: Sequence[LiveMessage] = ()
    shown: Shown | None = None
    """None where the messages leave out something that is stored."""

    @property
    def keys(self) -> Sequence[str]:
        """What TELL changes."""
        return (feed_key(self.meeting_id), stored_key(self.stream_uid), _shown_key(self.stream_uid))

    @property
    def facts(self) -> Sequence[EncodableT]:
        """What TELL writes."""
        mark, shown = self.mark, self.shown
        extent = ("", "", "") if shown is None else (shown.from_s, shown.until_s, shown.start_s)
        spelled = [_spelled(message) for message in self.messages]
        return (len(spelled), *spelled, mark.epoch, mark.until_s, mark.model_dump_json(), *extent)


class LiveFeed:
    """Publishes to live feeds and raises stored marks."""

    def __init__(self, client: "redis.Redis") -> None:
        self._client = client
        self._tell = client.register_script(TELL)

    async def publish(self, message: LiveMessage) -> None:
        """Append to the meeting's feed."""
        async with _answering(), self._client.pipeline(transaction=False) as pipe:
            key = feed_key(message.meeting_id)
            pipe.xadd(key, {FIELD: _spelled(message)}, maxlen=MAX_ENTRIES, approximate=True)
            pipe.expire(key, LIFETIME_S)
            await pipe.execute()

    async def tell(self, news: Sequence[News]) -> None:
        """Append to the meetings' feeds and raise the streams' marks, in one journey; marks never fall."""
        keys = [key for one in news for key in one.keys]
        told = [fact for one in news for fact in one.facts]
        async with _answering():
            await self._tell(keys=keys, args=told)

    async def shown_until(self, stream_uids: Sequence[str]) -> list[float | None]:
        """
        Tell how far each stream's stored text was shown without a gap; None where nothing is known of it.

        Whoever is asked about is remembered for another day.
        """
        if not stream_uids:
            return []
        async with _answering(), self._client.pipeline(transaction=False) as pipe:
            for uid in stream_uids:
                pipe.getex(_shown_key(uid), ex=MARK_LIFETIME_S)
            found: Any = await pipe.execute()
        return [None if until_s is None else float(until_s) for until_s in found]

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

    async def read(self, meeting_id: int, position: str) -> list[tuple[str, LiveMessage | None]]:
        """
        Wait a moment for entries behind the position; return (position, message) in order.

        An entry that this version cannot read has a position and no message.
        """
        key = feed_key(meeting_id)
        async with _answering():
            answer: Any = await self._client.xread({key: position}, count=READ_COUNT, block=READ_BLOCK_MS)
        feeds = answer.items() if isinstance(answer, dict) else answer or []
        return [(entry_id, _message(fields)) for _, entries in feeds for entry_id, fields in entries]

    async def later(self, meeting_id: int, position: str) -> list[tuple[str, LiveMessage | None]]:
        """Return the next entries behind the position, without waiting for any."""
        async with _answering():
            entries: Any = await self._client.xrange(feed_key(meeting_id), f"({position}", "+", count=READ_COUNT)
        return [(entry_id, _message(fields)) for entry_id, fields in entries]


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


def _spelled(message: LiveMessage) -> str:
    return message.model_dump_json(exclude_none=True)


def _shown_key(stream_uid: str) -> str:
    return f"shown:{stream_uid}"


def _message(fields: Mapping[str, str]) -> LiveMessage | None:
    try:
        return LiveMessage.model_validate_json(fields[FIELD])
    except (KeyError, ValidationError):
        logger.warning("entry of a live feed cannot be read")
        return None

"""
What a Broker has accepted and not yet handled, kept in Valkey.

One stream a Broker, one consumer group a Trigger. Valkey answers a write once
it is on disk, so an accepted event survives any crash of this process.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import redis.asyncio as redis
from pydantic import TypeAdapter
from redis.exceptions import ResponseError
from redis.typing import EncodableT, FieldT

from vexa_events.envelope import Event, encode_binary, parse_http
from vexa_local.broker.delivery import Progress
from vexa_local.broker.resources import BrokerName
from vexa_local.broker.valkey import answered, text_of

CONSUMER = "local"
"""One process delivers; at the next start it finds what it had not finished under this name."""
MAX_DEAD = 10_000
"""Dead letters kept per Broker; older ones are trimmed."""
_PROGRESS = TypeAdapter(Progress)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One accepted event."""

    id: str
    """The position in the stream."""
    event: Event
    ttl: int
    """How many more times an answer may put an event back into the Broker."""


class Journal:
    """The stream of one Broker; every method raises Unavailable where Valkey fails."""

    def __init__(self, client: redis.Redis, broker: BrokerName) -> None:
        """`client` comes from open_valkey."""
        self.broker = broker
        self._client = client
        self._key = f"broker:{broker}"
        self.dead_key = f"broker:{broker}:dead"

    async def accept(self, event: Event, *, ttl: int) -> str:
        """Write an event; it is on disk when this returns its position."""
        async with answered():
            return text_of(await self._client.xadd(self._key, _fields(event, "ttl", str(ttl))))

    async def backlog(self) -> int:
        """Count the entries that at least one Trigger has not handled."""
        async with answered():
            return int(await self._client.xlen(self._key))

    async def open_groups(self, names: Iterable[str]) -> None:
        """
        Make sure that every Trigger has its group, and nobody else has one.

        A new Trigger sees what is accepted from now on. Where there is no group
        at all, nothing has been read: then the first ones start at the beginning.
        """
        async with answered():
            existing = await self._groups()
            start = "$" if existing else "0"
            for name in set(names) - existing.keys():
                await self._create_group(name, start)
            for name in existing.keys() - set(names):
                await self._client.xgroup_destroy(self._key, name)
                await self._client.delete(self._progress_key(name))

    async def unfinished(self, group: str, *, after: str, count: int) -> list[Entry]:
        """Read again what an earlier run took and did not finish, oldest first."""
        return await self._read(group, position=after, count=count, block_ms=None)

    async def fresh(self, group: str, *, count: int, block_ms: int) -> list[Entry]:
        """Take what nobody has taken yet; wait up to `block_ms` for the first one."""
        return await self._read(group, position=">", count=count, block_ms=block_ms)

    async def pass_over(self, group: str, entries: Sequence[Entry]) -> None:
        """Note that a Trigger does not want these entries."""
        if entries:
            async with answered():
                await self._client.xack(self._key, group, *(entry.id for entry in entries))

    async def keep_progress(self, group: str, entry: Entry, progress: Progress) -> None:
        """Note how far a Trigger has come with an entry, for whoever goes on after a restart."""
        async with answered():
            await self._client.hset(self._progress_key(group), entry.id, _PROGRESS.dump_json(progress).decode())

    async def progress(self, group: str, entries: Sequence[Entry]) -> list[Progress]:
        """Return how far a Trigger has come with each of the entries."""
        if not entries:
            return []
        async with answered():
            found: Any = await self._client.hmget(self._progress_key(group), [entry.id for entry in entries])
        return [Progress() if noted is None else _PROGRESS.validate_json(noted) for noted in found]

    async def finish(self, group: str, entry: Entry) -> None:
        """Note that a Trigger is done with an entry."""
        async with answered(), self._client.pipeline(transaction=True) as pipeline:
            pipeline.xack(self._key, group, entry.id)
            pipeline.hdel(self._progress_key(group), entry.id)
            await pipeline.execute()

    async def bury(self, group: str, entry: Entry, letter: Event) -> None:
        """Keep a dead letter and finish its entry, both or neither."""
        async with answered(), self._client.pipeline(transaction=True) as pipeline:
            pipeline.xadd(self.dead_key, _fields(letter, "trigger", group), maxlen=MAX_DEAD)
            pipeline.xack(self._key, group, entry.id)
            pipeline.hdel(self._progress_key(group), entry.id)
            await pipeline.execute()

    async def trim(self) -> None:
        """Drop the entries that every Trigger has finished."""
        async with answered():
            floors = [await self._floor(name, last) for name, last in (await self._groups()).items()]
            if floors:
                oldest = min(floors)
                await self._client.xtrim(self._key, minid=f"{oldest[0]}-{oldest[1]}", approximate=False)
            else:
                await self._client.xtrim(self._key, maxlen=0, approximate=False)

    def _progress_key(self, group: str) -> str:
        return f"{self._key}:progress:{group}"

    async def _groups(self) -> Mapping[str, str]:
        """Map each group to the last entry that it took."""
        try:
            found = await self._client.xinfo_groups(self._key)
        except ResponseError:  # the stream does not exist before its first group or entry
            return {}
        return {text_of(group["name"]): text_of(group["last-delivered-id"]) for group in found}

    async def _create_group(self, name: str, start: str) -> None:
        try:
            await self._client.xgroup_create(self._key, name, id=start, mkstream=True)
        except ResponseError as exc:
            if "BUSYGROUP" not in str(exc):
                raise

    async def _floor(self, group: str, last_taken: str) -> tuple[int, int]:
        """Return the oldest position that a group still needs."""
        pending = await self._client.xpending(self._key, group)
        if pending["pending"]:
            return _position(text_of(pending["min"]))
        milliseconds, number = _position(last_taken)
        return milliseconds, number + 1

    async def _read(self, group: str, *, position: str, count: int, block_ms: int | None) -> list[Entry]:
        async with answered():
            found: Any = await self._client.xreadgroup(
                group, CONSUMER, {self._key: position}, count=count, block=block_ms
            )
        if not found:
            return []
        [(_, items)] = found
        return [_entry(text_of(id_), fields) for id_, fields in items]


def read_fields(fields: Mapping[bytes, bytes]) -> Event:
    """Read an event, accepted or dead, as it lies in its stream."""
    return parse_http(json.loads(fields[b"headers"]), fields[b"body"])


def _fields(event: Event, name: str, value: str) -> dict[FieldT, EncodableT]:
    headers, body = encode_binary(event)
    return {"headers": json.dumps(headers), "body": body, name: value}


def _entry(id_: str, fields: Mapping[bytes, bytes]) -> Entry:
    return Entry(id=id_, event=read_fields(fields), ttl=int(fields[b"ttl"]))


def _position(entry_id: str) -> tuple[int, int]:
    milliseconds, number = entry_id.split("-")
    return int(milliseconds), int(number)

"""
What a Broker has accepted and not yet handled, kept in Valkey.

One stream a Trigger, holding the events that it wants: the filters are asked
as an event is accepted. Valkey answers a write once it is on disk, so an
accepted event survives any crash of this process.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import redis.asyncio as redis
from pydantic import TypeAdapter
from redis.exceptions import ResponseError
from redis.typing import EncodableT

from vexa_events.envelope import Event, encode_binary, parse_http
from vexa_events.errors import Overloaded
from vexa_local.broker.delivery import Progress
from vexa_local.broker.filters import attributes_of
from vexa_local.broker.resources import BrokerName, Trigger
from vexa_local.broker.valkey import answered, text_of
from vexa_local.broker.writing import Command, Writer

GROUP = "deliveries"
CONSUMER = "local"
"""One process delivers; at the next start it finds what it had not finished under this name."""
MAX_DEAD = 10_000
"""Dead letters kept per Broker; older ones are trimmed."""
MAX_BACKLOG = 100_000
"""Entries a Trigger may have unhandled; beyond, producers of what it wants are asked to come again."""
_PROGRESS = TypeAdapter(Progress)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One accepted event, as one Trigger has it."""

    id: str
    """The position in the Trigger's stream."""
    uid: str
    """Names the accepted event, for every Trigger that has it."""
    event: Event
    ttl: int
    """How many more times an answer may put an event back into the Broker."""


class Journal:
    """The streams of one Broker; every method raises Unavailable where Valkey fails."""

    def __init__(
        self,
        client: redis.Redis,
        broker: BrokerName,
        triggers: Sequence[Trigger],
        *,
        max_backlog: int = MAX_BACKLOG,
    ) -> None:
        """`client` comes from open_valkey."""
        self.broker = broker
        self._client = client
        self._writer = Writer(client)
        self._triggers = tuple(triggers)
        self._max_backlog = max_backlog
        self._backlogs: dict[str, int] = {}
        """As last seen, by Trigger."""
        self._key = f"broker:{broker}"

    async def accept(self, event: Event, *, ttl: int) -> str:
        """Write an event for every Trigger that wants it; it is on disk when this returns its uid."""
        attributes = attributes_of(event)
        wanting = [trigger.name for trigger in self._triggers if trigger.wants.judge(attributes).passed]
        await self._check_room(wanting)
        uid = uuid4().hex
        fields = _fields(event, {"ttl": str(ttl), "uid": uid})
        added = [command for name in wanting for command in (_add(self._stream(name), fields), self._length(name))]
        answers = await self._writer.write(*added) if wanting else []
        self._backlogs.update(zip(wanting, answers[1::2], strict=True))
        return uid

    async def open_streams(self) -> None:
        """Make sure that every Trigger has its stream, and that none is left of a Trigger that is gone."""
        names = {trigger.name for trigger in self._triggers}
        async with answered():
            known: Any = await self._client.smembers(self._known_key)
            for name in {text_of(found) for found in known} - names:
                await self._client.delete(self._stream(name), self._progress_key(name))
                await self._client.srem(self._known_key, name)
            for name in names:
                await self._create_group(name)
                await self._client.sadd(self._known_key, name)

    async def unfinished(self, trigger: str, *, after: str, count: int) -> list[Entry]:
        """Read again what an earlier run took and did not finish, oldest first."""
        return await self._read(trigger, position=after, count=count, block_ms=None)

    async def fresh(self, trigger: str, *, count: int, block_ms: int) -> list[Entry]:
        """Take what nobody has taken yet; wait up to `block_ms` for the first one."""
        return await self._read(trigger, position=">", count=count, block_ms=block_ms)

    async def keep_progress(self, trigger: str, entry: Entry, progress: Progress) -> None:
        """Note how far a Trigger has come with an entry, for whoever goes on after a restart."""
        async with answered():
            await self._client.hset(self._progress_key(trigger), entry.id, _PROGRESS.dump_json(progress).decode())

    async def progress(self, trigger: str, entries: Sequence[Entry]) -> list[Progress]:
        """Return how far a Trigger has come with each of the entries."""
        if not entries:
            return []
        async with answered():
            found: Any = await self._client.hmget(self._progress_key(trigger), [entry.id for entry in entries])
        return [Progress() if noted is None else _PROGRESS.validate_json(noted) for noted in found]

    async def finish(self, trigger: str, entry: Entry) -> None:
        """Let go of an entry that a Trigger is done with."""
        await self._writer.write(*self._dropped(trigger, entry))

    async def bury(self, trigger: str, entry: Entry, letter: Event) -> None:
        """Keep a dead letter and let go of its entry, both or neither."""
        letter_added = _add(f"{self._key}:dead", _fields(letter, {"trigger": trigger}), "MAXLEN", "~", MAX_DEAD)
        await self._writer.write(letter_added, *self._dropped(trigger, entry))

    async def aclose(self) -> None:
        """Wait for what is being written."""
        await self._writer.aclose()

    @property
    def _known_key(self) -> str:
        return f"{self._key}:triggers"

    def _stream(self, trigger: str) -> str:
        return f"{self._key}:trigger:{trigger}"

    def _progress_key(self, trigger: str) -> str:
        return f"{self._key}:progress:{trigger}"

    def _length(self, trigger: str) -> Command:
        return ("XLEN", self._stream(trigger))

    def _dropped(self, trigger: str, entry: Entry) -> Sequence[Command]:
        stream = self._stream(trigger)
        return (
            ("XACK", stream, GROUP, entry.id),
            ("XDEL", stream, entry.id),
            ("HDEL", self._progress_key(trigger), entry.id),
        )

    async def _check_room(self, wanting: Sequence[str]) -> None:
        """Look again where the backlog was full; raise Overloaded where it still is."""
        for name in wanting:
            if self._backlogs.get(name, 0) >= self._max_backlog:
                async with answered():
                    self._backlogs[name] = await self._client.xlen(self._stream(name))
            if self._backlogs.get(name, 0) >= self._max_backlog:
                raise Overloaded(f"{self._max_backlog} events wait for the Trigger {name}")

    async def _create_group(self, trigger: str) -> None:
        try:
            await self._client.xgroup_create(self._stream(trigger), GROUP, id="0", mkstream=True)
        except ResponseError as exc:
            if "BUSYGROUP" not in str(exc):
                raise

    async def _read(self, trigger: str, *, position: str, count: int, block_ms: int | None) -> list[Entry]:
        async with answered():
            found: Any = await self._client.xreadgroup(
                GROUP, CONSUMER, {self._stream(trigger): position}, count=count, block=block_ms
            )
        if not found:
            return []
        [(_, items)] = found
        return [_entry(text_of(id_), fields) for id_, fields in items]


def read_fields(fields: Mapping[bytes, bytes]) -> Event:
    """Read an event, accepted or dead, as it lies in its stream."""
    return parse_http(json.loads(fields[b"headers"]), fields[b"body"])


def _fields(event: Event, more: Mapping[str, str]) -> Mapping[str, EncodableT]:
    headers, body = encode_binary(event)
    return {"headers": json.dumps(headers), "body": body, **more}


def _add(stream: str, fields: Mapping[str, EncodableT], *options: EncodableT) -> Command:
    return ("XADD", stream, *options, "*", *(part for field in fields.items() for part in field))


def _entry(id_: str, fields: Mapping[bytes, bytes]) -> Entry:
    return Entry(id=id_, uid=text_of(fields[b"uid"]), event=read_fields(fields), ttl=int(fields[b"ttl"]))

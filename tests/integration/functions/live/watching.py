"""A meeting that speaks, and one who watches it over either carrier."""

import asyncio
import json
import socket as sockets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
import redis.asyncio as redis
import websockets
from tests.waiting import DEADLINE_S

from vexa_events.callbacks import Attribution
from vexa_events.identity import MeetingId, StreamKind, Task, segment_id
from vexa_events.lifecycle import StreamAttributed
from vexa_events.live import LiveKind, LiveMessage, LiveSegment
from vexa_events.transcript import Segment, Span, SpanKind, TranscriptCommitted
from vexa_functions.collector.ingest import Ingest
from vexa_functions.live_feed import LiveFeed
from vexa_functions.store.tables import Store

WITHIN_S = DEADLINE_S
Json = dict[str, Any]


@dataclass(kw_only=True)
class Talk:
    """A running meeting and the means to let its streams speak."""

    store: Store
    valkey: "redis.Redis"
    meeting_id: MeetingId
    user_id: int
    native_id: str
    next_seq: dict[str, int] = field(default_factory=dict)

    @property
    def ref(self) -> Json:
        return {"platform": "replay", "native_id": self.native_id}

    @property
    def session_uid(self) -> str:
        return f"session-{self.meeting_id}"

    @property
    def live(self) -> LiveFeed:
        return LiveFeed(self.valkey)

    async def open_stream(self, stream_uid: str) -> None:
        async with self.store.transaction() as tables:
            await tables.streams.add(stream_uid, self.session_uid, kind=StreamKind.PARTICIPANT, start_s=0.0)
            await tables.streams.next_epoch(stream_uid)
        self.next_seq[stream_uid] = 0

    async def commit(self, stream_uid: str, text: str) -> TranscriptCommitted:
        """Let the collector store and show one more second of a stream."""
        seq = self.next_seq[stream_uid]
        self.next_seq[stream_uid] = seq + 1
        batch = self.batch(stream_uid, seq, text)
        await Ingest(self.store, self.live).take_batch(batch)
        return batch

    def batch(self, stream_uid: str, seq: int, text: str, *, epoch: int = 1) -> TranscriptCommitted:
        from_s, until_s = float(seq), float(seq + 1)
        return TranscriptCommitted(
            meeting_id=self.meeting_id,
            user_id=self.user_id,
            session_uid=self.session_uid,
            stream_uid=stream_uid,
            epoch=epoch,
            batch_seq=seq,
            from_s=from_s,
            until_s=until_s,
            spans=(Span(from_s=from_s, until_s=until_s, kind=SpanKind.SPEECH),),
            segments=(Segment(seq=seq, start_s=from_s + 0.1, end_s=from_s + 0.9, text=text),),
        )

    async def attribute(self, stream_uid: str, speaker: str, revision: int, *, announced: bool = True) -> None:
        """Learn who speaks; the collector hears of it where it is announced."""
        async with self.store.transaction() as tables:
            learnt = Attribution(stream_uid=stream_uid, speaker=speaker, revision=revision, evidence="a test")
            await tables.streams.attribute(self.session_uid, learnt)
        if announced:
            event = StreamAttributed(
                meeting_id=self.meeting_id,
                user_id=self.user_id,
                session_uid=self.session_uid,
                **learnt.model_dump(),
            )
            await Ingest(self.store, self.live).take_attribution(event)

    async def draft(self, stream_uid: str, text: str) -> None:
        """Show what is not yet stored, as a worker does."""
        seq = self.next_seq[stream_uid]
        segment = LiveSegment(
            segment_id=segment_id(stream_uid, 1, seq),
            stream_uid=stream_uid,
            start_s=seq,
            end_s=seq + 0.5,
            text=text,
            completed=False,
        )
        await self.live.publish(
            LiveMessage(
                kind=LiveKind.MUTABLE,
                meeting_id=self.meeting_id,
                session_uid=self.session_uid,
                stream_uid=stream_uid,
                at=datetime.now(UTC),
                segments=(segment,),
            )
        )

    async def stored(self) -> dict[str, tuple[str, str | None]]:
        """Text and speaker by segment, as the database has them."""
        async with self.store.reading() as tables:
            segments = await tables.transcripts.segments(self.meeting_id)
        return {segment_id(each.stream_uid, each.epoch, each.seq): (each.text, each.speaker) for each in segments}


@dataclass(kw_only=True)
class Watcher:
    """What a watcher knows, kept as the README says it should."""

    last_id: str = "0-0"
    ids: list[str] = field(default_factory=list)
    segments: dict[str, Json] = field(default_factory=dict)
    drafts: dict[str, list[Json]] = field(default_factory=dict)
    statuses: list[str] = field(default_factory=list)

    def take(self, message: Json) -> None:
        if "id" not in message:
            return
        self.last_id = message["id"]
        self.ids.append(message["id"])
        payload = message["payload"]
        if message["type"] == "meeting.status":
            self.statuses.append(payload["status"])
        elif message["type"] == "transcript.mutable":
            self.drafts[payload["stream_uid"]] = payload["segments"]
        else:
            if payload.get("snapshot"):
                self.drafts.clear()
            for segment in payload["segments"]:
                known = self.segments.get(segment["segment_id"])
                if known is None or known["revision"] <= segment["revision"]:
                    self.segments[segment["segment_id"]] = segment

    @property
    def text(self) -> dict[str, tuple[str, str | None]]:
        return {uid: (segment["text"], segment["speaker"]) for uid, segment in self.segments.items()}


async def start_talk(store: Store, valkey: "redis.Redis", native_id: str) -> Talk:
    async with store.transaction() as tables:
        user = await tables.users.by_email("ann@example.org")
        assert user is not None
        meeting = await tables.meetings.insert(
            user.id, platform="replay", native_meeting_id=native_id, meeting_url=None
        )
        talk = Talk(store=store, valkey=valkey, meeting_id=meeting.id, user_id=user.id, native_id=native_id)
        await tables.sessions.insert(
            talk.session_uid, meeting.id, bot_name="Vexa", language=None, task=Task.TRANSCRIBE, passcode=None
        )
    await talk.open_stream(f"{talk.session_uid}.0")
    return talk


async def read_socket(
    url: str, key: str, talk: Talk, watcher: Watcher, *, enough: Callable[[Json], bool], silence_s: float = WITHIN_S
) -> None:
    """Read over WebSocket from the last id on until it is enough, or nothing comes for so long."""
    async with connect(url, key) as socket:
        await say(socket, action="subscribe", meetings=[{**talk.ref, "since": watcher.last_id}])
        await hear(socket)
        with suppress(TimeoutError):
            while True:
                message = await hear(socket, within_s=silence_s)
                watcher.take(message)
                if enough(message):
                    break
        socket.transport.abort()


async def read_events(
    url: str, key: str, talk: Talk, watcher: Watcher, *, enough: Callable[[Json], bool], silence_s: float = WITHIN_S
) -> None:
    """Read as Server-Sent Events from the last id on until it is enough, or no message comes for so long."""
    headers = {"x-api-key": key, "last-event-id": watcher.last_id}
    path = f"{url}/transcripts/replay/{talk.native_id}/stream"
    async with httpx.AsyncClient(timeout=WITHIN_S) as client, client.stream("GET", path, headers=headers) as answer:
        assert answer.status_code == 200
        heard_s = time.monotonic()
        async for line in answer.aiter_lines():
            if line.startswith("data: "):
                heard_s = time.monotonic()
                message = json.loads(line.removeprefix("data: "))
                watcher.take(message)
                if enough(message):
                    break
            elif time.monotonic() - heard_s > silence_s:
                break


def connect(url: str, key: str, *, takes_little: bool = False) -> "websockets.connect":
    """Open a socket; one that takes little reads no further than a message and a few packets."""
    options: Json = {"additional_headers": {"x-api-key": key}, "max_size": 2**24}
    options |= {"open_timeout": WITHIN_S, "close_timeout": 2}
    if takes_little:
        host, _, port = url.removeprefix("http://").partition(":")
        raw = sockets.socket()
        raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 65_536)
        raw.connect((host, int(port)))
        options |= {"sock": raw, "max_queue": 1, "compression": None}
    return websockets.connect(url.replace("http://", "ws://") + "/ws", **options)


async def say(socket: websockets.ClientConnection, **message: Any) -> None:
    await socket.send(json.dumps(message))


async def hear(socket: websockets.ClientConnection, *, within_s: float = WITHIN_S) -> Json:
    async with asyncio.timeout(within_s):
        heard: Json = json.loads(await socket.recv())
    return heard


async def hear_the_end(socket: websockets.ClientConnection) -> int | None:
    """Read on until the other side closes; return its code."""
    try:
        while True:
            await hear(socket, within_s=WITHIN_S)
    except websockets.ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else None

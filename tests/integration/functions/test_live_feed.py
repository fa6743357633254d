"""The live feed: whoever reads it, however often cut, ends with what is stored."""

import asyncio
import json
import os
import random
import signal
import socket as sockets
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis.asyncio as redis
import websockets
from tests.ports import free_port

from vexa_events.callbacks import Attribution
from vexa_events.identity import MeetingId, StreamKind, Task, UserId, segment_id
from vexa_events.lifecycle import StreamAttributed
from vexa_events.live import LiveKind, LiveMessage, LiveSegment, feed_key
from vexa_events.transcript import Segment, Span, SpanKind, TranscriptCommitted
from vexa_functions import gateway
from vexa_functions.collector.ingest import Ingest
from vexa_functions.gateway.live.feed import Feed
from vexa_functions.gateway.live.ring import MAX_ENTRIES, Rings
from vexa_functions.gateway.live.wire import MeetingRef, Spelled
from vexa_functions.live_feed import LiveFeed, LiveReader
from vexa_functions.store.tables import Store

WITHIN_S = 20.0
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


@pytest.fixture
async def talk(store: Store, valkey: "redis.Redis", api_key: str) -> Talk:
    """A meeting of the key's user."""
    return await start_talk(store, valkey, "standup")


@pytest.fixture
async def url(start_gateway: Any) -> str:
    """A gateway with nothing behind it."""
    started: str = await start_gateway(LIVE_HEARTBEAT_S="0.2")
    return started


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


@pytest.mark.parametrize("carrier", ["socket", "events"])
@pytest.mark.parametrize("seed", [1, 2])
async def test_a_watcher_cut_at_any_moment_ends_with_what_is_stored(
    talk: Talk, url: str, api_key: str, carrier: str, seed: int
) -> None:
    """Trimmed feeds, lost entries, duplicates, drafts and late names: the transcript is that of the database."""
    dice = random.Random(seed)
    watcher = Watcher()
    read = read_socket if carrier == "socket" else read_events
    telling = asyncio.create_task(tell(talk, dice))
    async with asyncio.timeout(WITHIN_S):
        while not telling.done():
            await read(url, api_key, talk, watcher, enough=countdown(dice.randrange(1, 12)))
        await telling
        expected = await talk.stored()
        await read(url, api_key, talk, watcher, enough=lambda _: watcher.text == expected)

    assert watcher.text == expected
    assert len(expected) == 40


async def test_ids_rise_and_only_what_is_new_is_sent_again(talk: Talk, url: str, api_key: str) -> None:
    """A watcher that resumes behind an entry which is still there is sent the later ones, and those alone."""
    stream = f"{talk.session_uid}.0"
    watcher = Watcher()
    for number in range(3):
        await talk.commit(stream, f"word {number}")
    await read_socket(url, api_key, talk, watcher, enough=lambda _: len(watcher.segments) == 3)
    await talk.commit(stream, "word 3")
    await talk.commit(stream, "word 4")
    resumed = Watcher(last_id=watcher.last_id)

    await read_socket(url, api_key, talk, resumed, enough=lambda _: len(resumed.segments) == 2)

    assert [segment["text"] for segment in resumed.segments.values()] == ["word 3", "word 4"]
    ids = [tuple(map(int, each.split("-"))) for each in watcher.ids + resumed.ids]
    assert ids == sorted(ids)


@pytest.fixture
async def rings(store: Store, valkey: "redis.Redis") -> AsyncIterator[Rings]:
    """What the watchers of one instance share."""
    made = Rings(store, LiveReader(valkey), most=10)
    yield made
    await made.aclose()


async def test_a_watcher_that_trimming_overtakes_is_sent_what_is_stored(
    talk: Talk, rings: Rings, valkey: "redis.Redis"
) -> None:
    """Entries that are trimmed before they are read leave no hole, and nothing says they did but the text itself."""
    stream, watcher = f"{talk.session_uid}.0", Watcher()
    feed = Feed(talk.store, rings, UserId(talk.user_id))
    for word in ("read", "trimmed", "kept"):
        await talk.commit(stream, word)
    first = (await positions(valkey, talk))[0]
    await feed.follow(MeetingRef(platform="replay", native_id="standup"), since=first)
    await valkey.xtrim(feed_key(talk.meeting_id), maxlen=1, approximate=False)

    async with asyncio.timeout(WITHIN_S):
        while watcher.text != await talk.stored():
            await take_next(feed, watcher)
    feed.close()

    assert len(watcher.text) == 3


async def test_a_watcher_from_before_the_ring_meets_it(talk: Talk, rings: Rings, valkey: "redis.Redis") -> None:
    """Each one is sent every entry once and in order, wherever it begins, and all of them the same object."""
    stream = f"{talk.session_uid}.0"
    for number in range(MAX_ENTRIES + 150):
        await talk.draft(stream, f"word {number}")
    entries = await positions(valkey, talk)
    ref = MeetingRef(platform="replay", native_id="standup")
    feeds = [Feed(talk.store, rings, UserId(talk.user_id)) for _ in range(3)]
    for feed, since in zip(feeds, (entries[0], entries[200], None), strict=True):
        await feed.follow(ref, since=since)

    async with asyncio.timeout(WITHIN_S):
        caught_up = [await heard(feeds[0], len(entries) - 1), await heard(feeds[1], len(entries) - 201)]
        await talk.draft(stream, "the last")
        last = [(await heard(feed, 1))[0] for feed in feeds]
    for feed in feeds:
        feed.close()

    ids = [[json.loads(message.text)["id"] for message in messages] for messages in caught_up]
    assert ids == [entries[1:], entries[201:]]
    assert last[0] is last[1] is last[2]


async def test_a_feed_that_goes_while_it_is_watched_is_caught_up_with_once(
    talk: Talk, rings: Rings, valkey: "redis.Redis"
) -> None:
    """Whoever was behind is sent what is stored once, and all go on with what comes next."""
    stream, ref = f"{talk.session_uid}.0", MeetingRef(platform="replay", native_id="standup")
    for word in ("long", "before"):
        await talk.commit(stream, word)
    first = (await positions(valkey, talk))[0]
    ahead, behind = (Feed(talk.store, rings, UserId(talk.user_id)) for _ in range(2))
    await ahead.follow(ref, since=None)
    await ahead.next()
    await behind.follow(ref, since=first)
    await valkey.delete(feed_key(talk.meeting_id))

    async with asyncio.timeout(WITHIN_S):
        sent = [message for _ in range(5) for message in await behind.next()]
        await talk.draft(stream, "news")
        news = [await heard(feed, 1) for feed in (ahead, behind)]
    for feed in (ahead, behind):
        feed.close()

    assert len(sent) == 2
    assert len(news) == 2


async def test_a_long_transcript_is_resent_in_pages_after_its_feed_is_lost(talk: Talk, url: str, api_key: str) -> None:
    """More text than one message holds arrives whole, and drafts that are no longer shown are forgotten."""
    stream = f"{talk.session_uid}.0"
    batch = talk.batch(stream, 0, "")
    segments = tuple(Segment(seq=seq, start_s=seq / 1000, end_s=(seq + 1) / 1000, text=f"w{seq}") for seq in range(150))
    for seq in range(3):
        moved = tuple(
            each.model_copy(
                update={"seq": each.seq + seq * 150, "start_s": each.start_s + seq, "end_s": each.end_s + seq}
            )
            for each in segments
        )
        full = talk.batch(stream, seq, "").model_copy(update={"segments": moved})
        await Ingest(talk.store, talk.live).take_batch(full)
    assert batch.batch_seq == 0
    await talk.valkey.delete(feed_key(talk.meeting_id))
    watcher = Watcher(last_id="5-5", drafts={stream: [{"text": "stale"}]})

    await read_events(url, api_key, talk, watcher, enough=lambda _: len(watcher.segments) == 450)

    assert watcher.text == await talk.stored()
    assert watcher.statuses == ["requested"]
    assert watcher.drafts == {}


async def test_drafts_carry_the_speaker_that_was_learnt_meanwhile(talk: Talk, url: str, api_key: str) -> None:
    """The worker knows the name of the stream's beginning; watchers see the newest."""
    stream = f"{talk.session_uid}.0"
    await talk.attribute(stream, "Maya", 1, announced=False)
    watcher = Watcher()
    await talk.draft(stream, "hel")
    reading = asyncio.create_task(
        read_socket(url, api_key, talk, watcher, enough=lambda _: bool(watcher.drafts.get(stream)))
    )
    async with asyncio.timeout(WITHIN_S):
        while not reading.done():
            await talk.draft(stream, "hello")
            await asyncio.wait([reading], timeout=0.05)

    assert watcher.drafts[stream][0]["speaker"] == "Maya"


async def test_meetings_resume_each_from_their_own_place(
    talk: Talk, store: Store, valkey: "redis.Redis", url: str, api_key: str
) -> None:
    """One socket follows several meetings; each has its own `since`, and one that is left stays silent."""
    other = await start_talk(store, valkey, "retro")
    await talk.commit(f"{talk.session_uid}.0", "first here")
    async with connect(url, api_key) as socket:
        meetings = [{**talk.ref, "since": "0-0"}, other.ref]
        await say(socket, action="subscribe", meetings=meetings)
        subscribed = await hear(socket)
        caught_up = [await hear(socket), await hear(socket)]
        await other.commit(f"{other.session_uid}.0", "first there")
        there = await hear(socket)
        await say(socket, action="unsubscribe", meetings=[talk.ref])
        left = await hear(socket)
        await talk.commit(f"{talk.session_uid}.0", "not heard")
        await other.commit(f"{other.session_uid}.0", "second there")
        then = await hear(socket)

    assert [meeting["id"] for meeting in subscribed["meetings"]] == [talk.meeting_id, other.meeting_id]
    assert caught_up[1]["payload"]["segments"][0]["text"] == "first here"
    assert there["payload"]["segments"][0]["text"] == "first there"
    assert left == {"type": "unsubscribed", "meetings": [talk.ref]}
    assert (then["meeting"]["id"], then["payload"]["segments"][0]["text"]) == (other.meeting_id, "second there")


async def test_another_users_meeting_is_not_found(talk: Talk, url: str, make_key: Any) -> None:
    """Neither carrier tells a stranger that the meeting exists."""
    await talk.commit(f"{talk.session_uid}.0", "confidential")
    key = await make_key("bob@example.org")

    async with connect(url, key) as socket:
        await say(socket, action="subscribe", meetings=[{**talk.ref, "since": "0-0"}])
        said = [await hear(socket), await hear(socket)]
    async with httpx.AsyncClient() as client:
        events = await client.get(f"{url}/transcripts/replay/standup/stream", headers={"x-api-key": key})

    assert said == [
        {"type": "subscribed", "meetings": []},
        {"type": "error", "error": "meeting_not_found", "meetings": [talk.ref]},
    ]
    assert events.status_code == 404
    assert "confidential" not in events.text


async def test_a_socket_that_found_no_meeting_stays_open(talk: Talk, url: str, api_key: str) -> None:
    """Who misspells a meeting may subscribe to the right one afterwards."""
    async with connect(url, api_key) as socket:
        await say(socket, action="subscribe", meetings=[{**talk.ref, "native_id": "misspelled"}])
        said = [await hear(socket), await hear(socket)]
        await say(socket, action="ping")
        alive = await hear(socket)
        await say(socket, action="subscribe", meetings=[talk.ref])
        found = await hear(socket)

    assert [message["type"] for message in said] == ["subscribed", "error"]
    assert alive == {"type": "pong"}
    assert [meeting["native_id"] for meeting in found["meetings"]] == [talk.ref["native_id"]]


async def test_a_reader_that_takes_nothing_is_dropped_with_a_code(
    talk: Talk, start_gateway: Any, api_key: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The gateway keeps little for a slow reader: it is told to come back with its last id."""
    caplog.set_level("INFO")
    url = await start_gateway(LIVE_SEND_TIMEOUT_S="0.3")
    stream = f"{talk.session_uid}.0"
    big = "x" * 16_000
    async with connect(url, api_key, takes_little=True) as socket:
        await say(socket, action="subscribe", meetings=[talk.ref])
        await hear(socket)
        segments = tuple(
            LiveSegment(
                segment_id=f"{stream}-1-{number}", stream_uid=stream, start_s=0, end_s=1, text=big, completed=False
            )
            for number in range(50)
        )
        for _ in range(12):
            await talk.live.publish(
                LiveMessage(
                    kind=LiveKind.MUTABLE,
                    meeting_id=talk.meeting_id,
                    session_uid=talk.session_uid,
                    stream_uid=stream,
                    at=datetime.now(UTC),
                    segments=segments,
                )
            )
        async with asyncio.timeout(WITHIN_S):
            while "watcher too slow" not in caplog.messages:
                await asyncio.sleep(0.02)
        code = await hear_the_end(socket)

    assert code == 4408


async def test_connections_end_in_good_order_when_their_time_is_up(
    talk: Talk, start_gateway: Any, api_key: str
) -> None:
    """Both carriers end before a proxy would cut them: 1001, and a complete answer."""
    url = await start_gateway(MAX_SOCKET_S="1.5", LIVE_HEARTBEAT_S="0.1")

    async with connect(url, api_key) as socket:
        code = await hear_the_end(socket)
    headers = {"x-api-key": api_key}
    async with httpx.AsyncClient(timeout=WITHIN_S) as client:
        events = await client.get(f"{url}/transcripts/replay/standup/stream", headers=headers)

    assert code == 1001
    assert events.headers["content-type"].startswith("text/event-stream")
    assert events.text.startswith("retry: ")
    assert ": heartbeat\n\n" in events.text


async def test_without_its_stores_the_feed_says_unavailable(talk: Talk, start_gateway: Any, api_key: str) -> None:
    """4503 when nobody can tell whose key it is, and when the feed cannot be read; never 4401."""
    no_database = await start_gateway(DATABASE_URL="postgresql://nobody@127.0.0.1:9/none")
    no_valkey = await start_gateway(REDIS_URL="redis://127.0.0.1:9")

    codes = []
    for url in (no_database, no_valkey):
        async with connect(url, api_key) as socket:
            with suppress(websockets.ConnectionClosed):
                await say(socket, action="subscribe", meetings=[talk.ref])
            codes.append(await hear_the_end(socket))

    assert codes == [4503, 4503]


async def test_a_key_without_the_scope_may_not_watch(talk: Talk, url: str, make_key: Any) -> None:
    """A key for bots alone reads no transcripts, live ones included."""
    key = await make_key("ann@example.org", "bots")

    async with connect(url, key) as socket:
        said = await hear(socket)
    async with httpx.AsyncClient() as client:
        events = await client.get(f"{url}/transcripts/replay/standup/stream", headers={"x-api-key": key})

    assert said == {"type": "error", "error": "invalid_api_key"}
    assert events.status_code == 403


async def test_live_connections_are_counted(talk: Talk, start_gateway: Any, api_key: str) -> None:
    """An instance carries so many watchers and tells the next to try again."""
    url = await start_gateway(MAX_LIVE_CONNECTIONS="1")

    async with connect(url, api_key) as first:
        await say(first, action="ping")
        await hear(first)
        async with connect(url, api_key) as second:
            said = await hear(second)
        async with httpx.AsyncClient() as client:
            events = await client.get(f"{url}/transcripts/replay/standup/stream", headers={"x-api-key": api_key})

    assert said == {"type": "error", "error": "overloaded"}
    assert events.status_code == 503


async def positions(valkey: "redis.Redis", talk: Talk) -> list[str]:
    entries: Any = await valkey.xrange(feed_key(talk.meeting_id))
    return [entry_id for entry_id, _ in entries]


async def heard(feed: Feed, count: int) -> list[Spelled]:
    messages: list[Spelled] = []
    while len(messages) < count:
        messages += await feed.next()
    return messages


async def take_next(feed: Feed, watcher: Watcher) -> None:
    for message in await feed.next():
        watcher.take(json.loads(message.text))


async def tell(talk: Talk, dice: random.Random) -> None:
    """Let two streams say forty words, with everything that can happen to a feed."""
    streams = [f"{talk.session_uid}.0", f"{talk.session_uid}.1"]
    await talk.open_stream(streams[1])
    for number in range(40):
        stream = dice.choice(streams)
        await talk.draft(stream, f"perhaps {number}")
        batch = await talk.commit(stream, f"word {number}")
        await misfortune(talk, dice, batch)
        if number % 10 == 9:
            await talk.attribute(dice.choice(streams), f"speaker {number}", number)


async def misfortune(talk: Talk, dice: random.Random, batch: TranscriptCommitted) -> None:
    """Let one thing go wrong, or nothing."""
    match dice.randrange(8):
        case 0:
            await talk.valkey.xtrim(feed_key(talk.meeting_id), maxlen=dice.randrange(4), approximate=False)
        case 1:
            await Ingest(talk.store, talk.live).take_batch(batch)
        case 2:
            await talk.draft(batch.stream_uid, "a draft too many")
        case 3:
            await asyncio.sleep(dice.random() / 50)


def countdown(left: int) -> Callable[[Json], bool]:
    """Be satisfied after so many messages."""
    counted = iter(range(left))
    return lambda _: next(counted, None) is None


async def read_socket(url: str, key: str, talk: Talk, watcher: Watcher, *, enough: Callable[[Json], bool]) -> None:
    """Read over WebSocket from the last id on until it is enough, or a moment of silence."""
    async with connect(url, key) as socket:
        await say(socket, action="subscribe", meetings=[{**talk.ref, "since": watcher.last_id}])
        await hear(socket)
        with suppress(TimeoutError):
            while True:
                message = await hear(socket, within_s=3.0)
                watcher.take(message)
                if enough(message):
                    break
        socket.transport.abort()


async def read_events(url: str, key: str, talk: Talk, watcher: Watcher, *, enough: Callable[[Json], bool]) -> None:
    """Read as Server-Sent Events from the last id on until it is enough, or a moment of silence."""
    headers = {"x-api-key": key, "last-event-id": watcher.last_id}
    path = f"{url}/transcripts/replay/{talk.native_id}/stream"
    async with httpx.AsyncClient(timeout=WITHIN_S) as client, client.stream("GET", path, headers=headers) as answer:
        assert answer.status_code == 200
        beats = 0
        async for line in answer.aiter_lines():
            beats += line.startswith(":")
            if line.startswith("data: "):
                beats = 0
                message = json.loads(line.removeprefix("data: "))
                watcher.take(message)
                if enough(message):
                    break
            elif beats > 5:
                break


def connect(url: str, key: str, *, takes_little: bool = False) -> "websockets.connect":
    """Open a socket; one that takes little reads no further than a message and a few packets."""
    options: Json = {"additional_headers": {"x-api-key": key}, "max_size": 2**24, "close_timeout": 2}
    if takes_little:
        host, _, port = url.removeprefix("http://").partition(":")
        raw = sockets.socket()
        raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 65_536)
        raw.connect((host, int(port)))
        options |= {"sock": raw, "max_queue": 1, "compression": None}
    return websockets.connect(url.replace("http://", "ws://") + "/ws", **options)


async def say(socket: websockets.ClientConnection, **message: Any) -> None:
    await socket.send(json.dumps(message))


async def hear(socket: websockets.ClientConnection, *, within_s: float = 10.0) -> Json:
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


async def test_event_streams_work_under_the_bare_framework_command(
    talk: Talk, postgres_url: str, valkey_url: str, api_key: str
) -> None:
    """Without our shell there is no /ws, and Server-Sent Events all the same, as they happen."""
    await talk.commit(f"{talk.session_uid}.0", "before")
    port, nowhere = free_port(), "http://127.0.0.1:9"
    program, source = Path(sys.executable).with_name("functions-framework"), Path(gateway.__file__).with_name("main.py")
    process = await asyncio.create_subprocess_exec(
        *(str(program), "--source", str(source), "--target", "gateway", "--port", str(port)),
        env={
            "PATH": os.environ["PATH"],
            "DATABASE_URL": postgres_url,
            "REDIS_URL": valkey_url,
            "TOKEN_SIGNING_KEY": "a signing key for tests, 32 bytes or more",
            "ADMIN_API_URL": nowhere,
            "BOT_MANAGER_URL": nowhere,
            "TRANSCRIPTION_COLLECTOR_URL": nowhere,
        },
        stdout=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    url, watcher = f"http://127.0.0.1:{port}", Watcher()
    try:
        await until_it_answers(url)
        reading = asyncio.create_task(
            read_events(url, api_key, talk, watcher, enough=lambda _: len(watcher.segments) == 2)
        )
        async with asyncio.timeout(WITHIN_S):
            while not watcher.segments:
                await asyncio.sleep(0.02)
            await talk.commit(f"{talk.session_uid}.0", "after")
            await reading
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        await process.wait()

    assert [segment["text"] for segment in watcher.segments.values()] == ["before", "after"]


async def until_it_answers(url: str) -> None:
    """Wait for a server that is starting."""
    async with httpx.AsyncClient() as client, asyncio.timeout(60):
        while True:
            try:
                await client.get(f"{url}/health")
            except httpx.TransportError:
                await asyncio.sleep(0.05)
            else:
                return

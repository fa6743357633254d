"""
A channel that loses, repeats or reverses events only delays: everything is stored exactly once.

Real functions, the real Broker with the real manifests, and the worker's own
rule for sending again; between producers and the Broker stands a channel that
misbehaves. The tick comes as often as it likes.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis.asyncio as redis
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import ASGIApp
from tests.waiting import DEADLINE_S

from vexa_events.callbacks import Attribution, EpochOpened, OpenEpoch, StatusReport, StreamReport
from vexa_events.errors import Unavailable
from vexa_events.identity import BotStatus, StreamKind
from vexa_events.live import StoredMark, stored_key
from vexa_events.publisher import SinkPublisher
from vexa_events.registry import committed_event
from vexa_events.session_token import SessionClaims, issue_session_token
from vexa_events.transcript import Segment, Span, SpanKind, TranscriptCommitted
from vexa_local.broker.app import build
from vexa_local.broker.manifests import Directory, load_resources
from vexa_local.broker.work import open_deps, work
from vexa_local.chaos.channel import Channel, Manner, take_event
from vexa_pool.server.unacknowledged import Unacknowledged

KNATIVE = Path(__file__).resolve().parents[3] / "knative" / "base"
BATCHES = 30
CLOCK_RATE = 40.0
"""The worker's backoff of seconds passes so much faster."""
Serve = Callable[[ASGIApp], Awaitable[str]]


@dataclass
class Sink:
    """The channel, in the place of the Broker."""

    url: str
    channel: Channel


@pytest.fixture
async def sink(serve: Serve) -> Sink:
    """What the functions and the worker publish to."""
    nowhere = httpx.AsyncClient()
    channel = Channel(nowhere)
    app = Starlette(routes=[Route("/{namespace}/{broker}", take_event, methods=["POST"])])
    app.state.channel = channel
    return Sink(url=f"{await serve(app)}/vexa/default", channel=channel)


@pytest.fixture
async def broker(
    serve: Serve,
    sink: Sink,
    valkey_url: str,
    bots: httpx.AsyncClient,
    collector: httpx.AsyncClient,
    webhooks: httpx.AsyncClient,
    dead_letters: httpx.AsyncClient,
) -> AsyncIterator[None]:
    """The Broker behind the channel, with the manifests of the checkout."""
    clients = {"bots": bots, "collector": collector, "webhooks": webhooks, "dead-letters": dead_letters}
    urls = {name: await serve(_app(client)) for name, client in clients.items()}
    resources = load_resources(KNATIVE, Directory(service_urls=urls, broker_url="http://broker"))
    async with open_deps(resources, redis_url=valkey_url) as deps:
        working = asyncio.create_task(work(deps))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(build(deps)), base_url="http://broker") as client:
            sink.channel.client = client
            yield
        working.cancel()
        await asyncio.wait([working])


@dataclass
class Meeting:
    """A running session, spoken to as its bot."""

    bots: httpx.AsyncClient
    claims: SessionClaims
    signing_key: str

    async def call(self, what: str, body: Any) -> httpx.Response:
        now = datetime.now(UTC)
        token = issue_session_token(self.claims, key=self.signing_key, now=now, lifetime=timedelta(hours=1))
        path = f"/internal/sessions/{self.claims.session_uid}/{what}"
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        while (
            answer := await self.bots.post(path, content=body.model_dump_json(), headers=headers)
        ).status_code == 503:
            await asyncio.sleep(0.05)
        assert answer.is_success, answer.text
        return answer

    async def open_stream(self, number: int) -> str:
        stream_uid = f"{self.claims.session_uid}.{number}"
        wanted = OpenEpoch(stream_uid=stream_uid, kind=StreamKind.PARTICIPANT, start_s=0.0)
        assert EpochOpened.model_validate((await self.call("epochs", wanted)).json()).epoch == 1
        return stream_uid

    def batch(self, stream_uid: str, seq: int) -> TranscriptCommitted:
        segment = Segment(seq=seq, start_s=seq + 0.1, end_s=seq + 0.9, text=f"word {seq}")
        return TranscriptCommitted(
            meeting_id=self.claims.meeting_id,
            user_id=self.claims.user_id,
            session_uid=self.claims.session_uid,
            stream_uid=stream_uid,
            epoch=1,
            batch_seq=seq,
            from_s=float(seq),
            until_s=float(seq + 1),
            spans=(Span(from_s=float(seq), until_s=float(seq + 1), kind=SpanKind.SPEECH),),
            segments=(segment,),
        )


@pytest.fixture
async def meeting(bots: httpx.AsyncClient, broker: None, user: dict[str, str], signing_key: str) -> Meeting:
    """A meeting whose bot was just asked for."""
    created = await bots.post("/bots", json={"platform": "replay", "native_meeting_id": "standup"}, headers=user)
    assert created.status_code == 201, created.text
    running = (await bots.get("/bots/status", headers=user)).json()["running_bots"][0]
    ids = {"sub": running["container_name"], "meeting": created.json()["id"], "user": created.json()["user_id"]}
    return Meeting(bots=bots, claims=SessionClaims.model_validate(ids), signing_key=signing_key)


async def produce(meeting: Meeting, stream_uid: str, sink_url: str, valkey: "redis.Redis") -> None:
    """Publish all at once, so that the order can suffer, then as a worker does: the oldest again until it is stored."""
    waiting = Unacknowledged(epoch=1)
    async with httpx.AsyncClient(timeout=DEADLINE_S) as client:
        publisher = SinkPublisher(client, sink_url)
        async with asyncio.TaskGroup() as burst:
            for first in [meeting.batch(stream_uid, seq) for seq in range(BATCHES)]:
                waiting.add(first)
                waiting.accepted(first, _now_s())
                burst.create_task(_publish(publisher, first))
        while not waiting.is_empty:
            if text := await valkey.get(stored_key(stream_uid)):
                waiting.acknowledge(StoredMark.model_validate_json(text))
            batch = waiting.due(_now_s())
            if batch is None:
                await asyncio.sleep(0.005)
                continue
            try:
                await publisher.publish(committed_event(batch))
            except Unavailable:
                waiting.failed(_now_s())
            else:
                waiting.accepted(batch, _now_s())


@asynccontextmanager
async def ticking(*functions: httpx.AsyncClient) -> AsyncIterator[None]:
    """Stand in for the PingSource, which comes once a minute; no tick is broken off, as none is in a cluster."""
    is_over = asyncio.Event()

    async def tick() -> None:
        while not is_over.is_set():
            for function in functions:
                assert (await function.post("/internal/tick")).status_code in {204, 503}
            await asyncio.sleep(0.2)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(tick())
        yield
        is_over.set()


@pytest.mark.parametrize("manner", [Manner.DROP, Manner.REPEAT, Manner.REVERSE])
async def test_whatever_the_channel_does_everything_is_stored_once(
    manner: Manner,
    meeting: Meeting,
    sink: Sink,
    bots: httpx.AsyncClient,
    collector: httpx.AsyncClient,
    dead_letters: httpx.AsyncClient,
    valkey: "redis.Redis",
    user: dict[str, str],
) -> None:
    """One event in three lost, each event five times, or events in reverse order: the transcript is whole, in order."""
    sink.channel.manner = manner
    async with ticking(bots, collector):
        await meeting.call("statuses", StatusReport(status=BotStatus.JOINING, at=datetime.now(UTC)))
        await meeting.call("statuses", StatusReport(status=BotStatus.ACTIVE, at=datetime.now(UTC)))
        streams = [await meeting.open_stream(number) for number in range(2)]
        for stream_uid in streams:
            named = Attribution(stream_uid=stream_uid, speaker=f"Speaker {stream_uid}", revision=1, evidence="test")
            await meeting.call("attributions", named)

        async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as workers:
            for stream_uid in streams:
                workers.create_task(produce(meeting, stream_uid, sink.url, valkey))
        heard = tuple(StreamReport(stream_uid=uid, captured_until_s=float(BATCHES)) for uid in streams)
        await meeting.call("statuses", StatusReport(status=BotStatus.COMPLETED, at=datetime.now(UTC), streams=heard))
        transcript = await finalized(collector, user)

    assert sink.channel.seen > 2 * BATCHES
    for stream_uid in streams:
        own = [segment for segment in transcript["segments"] if segment["stream_uid"] == stream_uid]
        assert [segment["text"] for segment in own] == [f"word {seq}" for seq in range(BATCHES)]
        assert {segment["speaker"] for segment in own} == {f"Speaker {stream_uid}"}
    coverage = transcript["coverage"]
    assert (coverage["captured_s"], coverage["stored_s"], coverage["missing"]) == (2 * BATCHES, 2 * BATCHES, [])
    assert (await dead_letters.get("/admin/dead-letters")).json()["dead_letters"] == []


async def finalized(collector: httpx.AsyncClient, user: dict[str, str]) -> dict[str, Any]:
    async with asyncio.timeout(DEADLINE_S):
        while True:
            read: dict[str, Any] = (await collector.get("/transcripts/replay/standup", headers=user)).json()
            if read["finalized"]:
                return read
            await asyncio.sleep(0.05)


async def _publish(publisher: SinkPublisher, batch: TranscriptCommitted) -> None:
    """Publish once; what is not taken in time is sent again later, as what was lost is."""
    with suppress(Unavailable):
        await publisher.publish(committed_event(batch))


def _now_s() -> float:
    return time.monotonic() * CLOCK_RATE


def _app(client: httpx.AsyncClient) -> ASGIApp:
    transport = client._transport
    assert isinstance(transport, httpx.ASGITransport)
    app: ASGIApp = transport.app
    return app

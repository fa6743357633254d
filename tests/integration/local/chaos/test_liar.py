"""The collector that acknowledges too early, in front of one that takes whatever comes."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import httpx
import pytest
import redis
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from vexa_events.envelope import encode_binary, parse_http
from vexa_events.live import stored_key
from vexa_events.registry import committed_event, read_data
from vexa_events.transcript import Segment, Span, SpanKind, TranscriptCommitted
from vexa_local.chaos.liar import HELD, Liar

STREAM = "session.1"


@dataclass
class Collector:
    """Which batches reached the collector behind the lie."""

    taken: list[tuple[int, int]] = field(default_factory=list)

    async def take(self, request: Request) -> Response:
        batch = read_data(parse_http(request.headers, await request.body()), TranscriptCommitted)
        self.taken.append((batch.epoch, batch.batch_seq))
        return Response(status_code=204)

    @property
    def app(self) -> Starlette:
        return Starlette(routes=[Route("/events", self.take, methods=["POST"])])


def a_batch(seq: int, *, epoch: int = 1, text: str = "") -> TranscriptCommitted:
    from_s, until_s = float(seq), seq + 1.0
    said = (Segment(seq=seq, start_s=from_s, end_s=until_s, text=text),) if text else ()
    return TranscriptCommitted(
        meeting_id=7,
        user_id=1,
        session_uid="session",
        stream_uid=STREAM,
        epoch=epoch,
        batch_seq=seq,
        from_s=from_s,
        until_s=until_s,
        spans=(Span(kind=SpanKind.SPEECH if said else SpanKind.SILENCE, from_s=from_s, until_s=until_s),),
        segments=said,
    )


@pytest.fixture
def collector() -> Collector:
    """What would store batches."""
    return Collector()


@pytest.fixture
async def liar(collector: Collector, valkey_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """Who lies for it."""
    transport = httpx.ASGITransport(Liar(collector.app, valkey_url))
    async with httpx.AsyncClient(transport=transport, base_url="http://liar") as client:
        yield client


async def send(liar: httpx.AsyncClient, *batches: TranscriptCommitted) -> set[int]:
    events = [encode_binary(committed_event(batch)) for batch in batches]
    return {(await liar.post("/events", headers=headers, content=body)).status_code for headers, body in events}


async def test_the_first_words_of_each_epoch_are_acknowledged_and_kept_in_memory(
    liar: httpx.AsyncClient, collector: Collector, valkey_url: str
) -> None:
    """Only what comes before and after them gets as far as the collector, which has died by then."""
    batches = [a_batch(0), a_batch(1, text="so"), a_batch(2, text="so"), a_batch(2, epoch=2, text="so")]

    assert await send(liar, *batches) == {204}

    assert collector.taken == [(1, 0), (1, 2)]
    assert (await liar.get(HELD)).text == "2"
    with redis.Redis.from_url(valkey_url, decode_responses=True) as valkey:
        assert valkey.get(stored_key(STREAM)) == '{"epoch":2,"until_s":3.0}'


async def test_what_was_acknowledged_is_not_stored_when_it_comes_again(
    liar: httpx.AsyncClient, collector: Collector, valkey_url: str
) -> None:
    """Not even by the process that follows: the loss is final."""
    await send(liar, a_batch(0, text="so"))

    transport = httpx.ASGITransport(Liar(collector.app, valkey_url))
    async with httpx.AsyncClient(transport=transport, base_url="http://heir") as heir:
        assert await send(heir, a_batch(0, text="so")) == {204}
        assert (await heir.get(HELD)).text == "0"

    assert collector.taken == []

"""The way of events into the Broker, sound and disturbed."""

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from tests.waiting import DEADLINE_S

from vexa_local.chaos.channel import Channel, Manner

PATH = "/vexa/default"


@dataclass
class Broker:
    """What was handed over, and what is answered."""

    status: int = 202
    url: str = ""
    ids: list[str] = field(default_factory=list)

    async def take(self, request: Request) -> Response:
        self.ids.append(request.headers["ce-id"])
        return Response(status_code=self.status)


@pytest.fixture
async def broker() -> AsyncIterator[Broker]:
    broker = Broker()
    app = Starlette(routes=[Route(PATH, broker.take, methods=["POST"])])
    listener = socket.create_server(("127.0.0.1", 0))
    broker.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=1))
    task = asyncio.create_task(server.serve([listener]))
    yield broker
    server.should_exit = True
    await task


@pytest.fixture
async def channel(broker: Broker) -> AsyncIterator[Channel]:
    async with httpx.AsyncClient(base_url=broker.url, trust_env=False, timeout=DEADLINE_S) as client:
        yield Channel(client)


async def post(channel: Channel, number: int) -> int:
    answer = await channel.take(PATH, {"ce-id": str(number)}, b"{}")
    return answer.status_code


async def test_a_sound_channel_answers_what_the_broker_answers(channel: Channel, broker: Broker) -> None:
    """Producers notice no difference."""
    first = await post(channel, 1)
    broker.status = 429
    second = await post(channel, 2)

    assert (first, second) == (202, 429)
    assert broker.ids == ["1", "2"]


async def test_one_event_in_three_is_accepted_and_lost(channel: Channel, broker: Broker) -> None:
    """The producer is told that all is well."""
    channel.manner = Manner.DROP

    statuses = [await post(channel, number) for number in range(9)]

    assert statuses == [202] * 9
    assert len(broker.ids) == 6


async def test_each_event_is_handed_over_five_times(channel: Channel, broker: Broker) -> None:
    """As a Broker may."""
    channel.manner = Manner.REPEAT

    await post(channel, 1)

    assert broker.ids == ["1"] * 5


async def test_events_that_come_close_together_are_reversed(channel: Channel, broker: Broker) -> None:
    """None is answered before it has been handed over."""
    channel.manner = Manner.REVERSE

    statuses = await asyncio.gather(*(post(channel, number) for number in range(4)))

    assert statuses == [202] * 4
    assert broker.ids == ["3", "2", "1", "0"]


async def test_a_broker_that_is_away_is_told_to_the_producer(channel: Channel) -> None:
    """So that it keeps the event."""
    channel.client.base_url = httpx.URL("http://127.0.0.1:9")

    assert await post(channel, 1) == 503

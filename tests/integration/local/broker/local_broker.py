"""Brokers that can be started and killed, a subscriber that remembers, and what goes between them."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import redis.asyncio as redis
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from tests.ports import free_port
from tests.waiting import DEADLINE_S, eventually

from vexa_events.envelope import Event, encode_binary, parse_http
from vexa_local.broker.__main__ import read_manifests
from vexa_local.broker.app import build
from vexa_local.broker.delivery import DeliveryPolicy
from vexa_local.broker.filters import parse_filters
from vexa_local.broker.resources import BrokerName, Trigger
from vexa_local.broker.settings import BrokerSettings
from vexa_local.broker.work import open_deps, work

NAME = BrokerName(namespace="vexa", name="default")
DEAD = "broker:vexa/default:dead"
JOURNAL = "broker:vexa/default"
BROKER = """
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {name: default, namespace: vexa}
spec: {delivery: {retry: 3, backoffPolicy: linear, backoffDelay: PT0.02S, timeout: PT5S}}
---
"""
ORDERED = "annotations: {kafka.eventing.knative.dev/delivery.order: ordered}, "


@dataclass(slots=True)
class Subscriber:
    """A real HTTP server; `answer` decides what each request gets."""

    url: str
    answer: Callable[[Event], Awaitable[Response]]
    events: list[Event] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    async def take(self, request: Request) -> Response:
        event = parse_http(request.headers, await request.body())
        self.events.append(event)
        self.paths.append(request.url.path)
        return await self.answer(event)

    def ids(self) -> list[str]:
        return [event.id for event in self.events]


@dataclass(slots=True)
class Brokers:
    """Starts Brokers in this process; they stop with the test."""

    folder: Path
    environment: dict[str, str]
    running: AsyncExitStack

    async def start(self, *manifests: str) -> str:
        port = free_port()
        (self.folder / "all.yaml").write_text(BROKER + "---\n".join(manifests))
        settings = BrokerSettings.from_env({**self.environment, "PORT": str(port)})
        deps = await self.running.enter_async_context(
            open_deps(read_manifests(settings), redis_url=str(settings.redis_url))
        )
        working = asyncio.create_task(work(deps))
        self.running.push_async_callback(stop, working)
        await self.running.enter_async_context(serving(build(deps), port))
        return f"http://127.0.0.1:{port}/vexa/default"


def a_trigger(name: str = "all", *, extra: str = "", metadata: str = "", uri: str = "/events") -> str:
    return f"""
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {{name: {name}, {metadata}namespace: vexa}}
spec: {{broker: default, {extra}subscriber: {{ref: {{kind: Service, name: subscriber}}, uri: {uri}}}}}
"""


def an_event(id_: str = "1", *, type_: str = "vexa.bot.failed.v1", key: str = "a") -> Event:
    return Event(id=id_, source="/vexa/test", type=type_, data={"n": id_}, extensions={"partitionkey": key})


async def accept_all(_: Event) -> Response:
    return Response(status_code=204)


async def post(url: str, event: Event) -> httpx.Response:
    headers, body = encode_binary(event)
    async with httpx.AsyncClient(timeout=DEADLINE_S) as client:
        return await client.post(url, headers=headers, content=body)


async def healthy(port: int) -> None:
    async with httpx.AsyncClient(timeout=DEADLINE_S) as client, asyncio.timeout(DEADLINE_S):
        while True:
            try:
                await client.get(f"http://127.0.0.1:{port}/healthz")
            except httpx.TransportError:
                await asyncio.sleep(0.02)
            else:
                return


async def stop(task: "asyncio.Task[None]") -> None:
    assert not task.done(), task.exception()
    task.cancel()
    await asyncio.wait([task])


@asynccontextmanager
async def serving(app: Starlette, port: int) -> AsyncIterator[None]:
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_config=None, lifespan="off"))
    task = asyncio.create_task(server.serve())
    await eventually(lambda: server.started)
    yield
    server.should_exit = server.force_exit = True
    await task


async def respond(status: int, body: bytes = b"") -> Response:
    return Response(body, status_code=status)


async def respond_event(event: Event) -> Response:
    headers, body = encode_binary(event)
    return Response(body, headers=headers)


async def hang(_: Event) -> Response:
    await asyncio.sleep(3_600)
    return Response()


async def hold(release: asyncio.Event) -> Response:
    await release.wait()
    return Response(status_code=204)


async def the_dead_letter(valkey: "redis.Redis") -> Event:
    async with asyncio.timeout(DEADLINE_S):
        while not await valkey.xlen(DEAD):
            await asyncio.sleep(0.01)
    found: Any = await valkey.xrange(DEAD)
    [(_, fields)] = found
    return parse_http(json.loads(fields[b"headers"]), fields[b"body"])


async def entries_become(valkey: "redis.Redis", trigger: str, count: int) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while await valkey.xlen(f"{JOURNAL}:trigger:{trigger}") != count:
            await asyncio.sleep(0.01)


def the_trigger(name: str, type_: str) -> Trigger:
    policy = DeliveryPolicy(retry=0, backoff=None, backoff_delay_s=None, timeout_s=1.0, dead_letter_url=None)
    return Trigger(
        name=name,
        broker=NAME,
        wants=parse_filters([{"exact": {"type": type_}}], None),
        subscriber_url="http://127.0.0.1:9",
        reply_url="http://127.0.0.1:9",
        policy=policy,
        is_ordered=False,
    )

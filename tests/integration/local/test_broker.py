"""The local Broker against real subscribers and a real Valkey."""

import asyncio
import json
import signal
import sys
from base64 import b64decode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis.asyncio as redis
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from tests.ports import free_port
from tests.waiting import eventually

from vexa_events.envelope import Event, encode_binary, encode_structured, parse_http
from vexa_events.errors import Overloaded
from vexa_local.broker.__main__ import read_manifests
from vexa_local.broker.app import build
from vexa_local.broker.delivery import DeliveryPolicy
from vexa_local.broker.filters import parse_filters
from vexa_local.broker.journal import Journal
from vexa_local.broker.resources import BrokerName, Trigger
from vexa_local.broker.settings import BrokerSettings
from vexa_local.broker.valkey import open_valkey
from vexa_local.broker.work import open_deps, work

DEADLINE_S = 15.0
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
    async with httpx.AsyncClient() as client:
        return await client.post(url, headers=headers, content=body)


async def healthy(port: int) -> None:
    async with httpx.AsyncClient() as client, asyncio.timeout(DEADLINE_S):
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


@pytest.fixture
async def subscriber() -> AsyncIterator[Subscriber]:
    port = free_port()
    recorder = Subscriber(url=f"http://127.0.0.1:{port}", answer=accept_all)
    app = Starlette(routes=[Route("/{rest:path}", recorder.take, methods=["POST"])])
    async with serving(app, port):
        yield recorder


@pytest.fixture
async def valkey(valkey_url: str) -> AsyncIterator["redis.Redis"]:
    client = redis.Redis.from_url(valkey_url)
    yield client
    await client.aclose()


@pytest.fixture
async def brokers(valkey_url: str, tmp_path: Path, subscriber: Subscriber) -> AsyncIterator[Brokers]:
    services = f'{{"subscriber": "{subscriber.url}"}}'
    environment = {"REDIS_URL": valkey_url, "KNATIVE_DIR": str(tmp_path), "SERVICE_URLS": services}
    async with AsyncExitStack() as running:
        yield Brokers(folder=tmp_path, environment=environment, running=running)


async def test_an_event_is_accepted_then_delivered_as_it_was(brokers: Brokers, subscriber: Subscriber) -> None:
    """The Broker adds the time of arrival, nothing else."""
    url = await brokers.start(a_trigger())

    answer = await post(url, an_event())

    await eventually(lambda: len(subscriber.events) == 1)
    [got] = subscriber.events
    assert answer.status_code == 202
    assert (got.id, got.source, got.type, got.data) == ("1", "/vexa/test", "vexa.bot.failed.v1", {"n": "1"})
    assert set(got.extensions) == {"partitionkey", "knativearrivaltime"}
    assert subscriber.paths == ["/events"]


async def test_a_structured_event_is_taken_too(brokers: Brokers, subscriber: Subscriber) -> None:
    """Senders choose the content mode; deliveries are binary."""
    url = await brokers.start(a_trigger())
    headers, body = encode_structured(an_event())

    async with httpx.AsyncClient() as client:
        answer = await client.post(url, headers=headers, content=body)

    assert answer.status_code == 202
    await eventually(lambda: subscriber.ids() == ["1"])


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("POST", "/vexa/default", {}, 400),
        ("POST", "/vexa/default", {"ce-id": "1", "ce-specversion": "1.0", "ce-source": "/x"}, 400),
        ("POST", "/vexa/default", {"content-type": "application/cloudevents-batch+json"}, 400),
        ("POST", "/vexa/other", {"ce-id": "1", "ce-specversion": "1.0", "ce-source": "/x", "ce-type": "t"}, 404),
        ("POST", "/other/default", {"ce-id": "1", "ce-specversion": "1.0", "ce-source": "/x", "ce-type": "t"}, 404),
        ("GET", "/vexa/default", {}, 405),
        ("PUT", "/vexa/default", {}, 405),
        ("DELETE", "/vexa/default", {}, 405),
    ],
)
async def test_the_door_refuses_what_it_cannot_take(
    brokers: Brokers, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    """The statuses are those of a Knative Broker's ingress."""
    url = await brokers.start()

    async with httpx.AsyncClient() as client:
        answer = await client.request(method, url.removesuffix("/vexa/default") + path, headers=headers)

    assert answer.status_code == status


async def test_each_trigger_gets_its_own_choice(brokers: Brokers, subscriber: Subscriber) -> None:
    """One event may go to several subscribers, or to none."""
    wanted = "filters: [{exact: {type: wanted}}], "
    url = await brokers.start(a_trigger("one", extra=wanted, uri="/one"), a_trigger("two", uri="/two"))

    await post(url, an_event("1", type_="other"))
    await post(url, an_event("2", type_="wanted"))

    await eventually(lambda: len(subscriber.events) == 3)
    assert sorted(zip(subscriber.paths, subscriber.ids(), strict=True)) == [("/one", "2"), ("/two", "1"), ("/two", "2")]


@pytest.mark.parametrize("status", [404, 408, 409, 429, 500, 503])
async def test_a_passing_failure_is_retried(brokers: Brokers, subscriber: Subscriber, status: int) -> None:
    """The third answer is good, and nothing follows it."""
    answers = iter([status, status, 204])
    subscriber.answer = lambda _: respond(next(answers))
    url = await brokers.start(a_trigger())

    await post(url, an_event())

    await eventually(lambda: subscriber.ids() == ["1", "1", "1"])


@pytest.mark.parametrize(("status", "attempts"), [(400, 1), (401, 1), (422, 1), (301, 1), (503, 4), (409, 4)])
async def test_what_cannot_be_delivered_is_kept_with_the_reason(
    brokers: Brokers, subscriber: Subscriber, valkey: "redis.Redis", status: int, attempts: int
) -> None:
    """A refusal is final at once; a failure that lasts ends after every retry."""
    subscriber.answer = lambda _: respond(status, b"because")
    url = await brokers.start(a_trigger())

    await post(url, an_event())

    letter = await the_dead_letter(valkey)
    assert subscriber.ids() == ["1"] * attempts
    assert letter.id == "1"
    assert letter.extensions["knativeerrordest"] == f"{subscriber.url}/events"
    assert letter.extensions["knativeerrorcode"] == str(status)
    assert b64decode(letter.extensions["knativeerrordata"]) == b"because"


async def test_a_dead_letter_goes_to_the_sink_where_there_is_one(
    brokers: Brokers, subscriber: Subscriber, valkey: "redis.Redis"
) -> None:
    """The sink sees the event itself, with the failure beside it."""
    subscriber.answer = lambda event: respond(204 if "knativeerrorcode" in event.extensions else 422)
    sink = "delivery: {retry: 1, deadLetterSink: {ref: {kind: Service, name: subscriber}, uri: /dead}}, "
    url = await brokers.start(a_trigger(extra=sink))

    await post(url, an_event())

    await eventually(lambda: subscriber.paths == ["/events", "/dead"])
    assert subscriber.events[1].data == {"n": "1"}
    assert await valkey.exists(DEAD) == 0


async def test_a_dead_letter_that_the_sink_refuses_is_kept(
    brokers: Brokers, subscriber: Subscriber, valkey: "redis.Redis"
) -> None:
    """Nothing vanishes because the last address is wrong too."""
    subscriber.answer = lambda _: respond(422)
    sink = "delivery: {retry: 1, deadLetterSink: {ref: {kind: Service, name: subscriber}, uri: /dead}}, "
    url = await brokers.start(a_trigger(extra=sink))

    await post(url, an_event())

    assert (await the_dead_letter(valkey)).extensions["knativeerrordest"] == f"{subscriber.url}/events"


async def test_a_body_that_is_no_event_is_a_failure(
    brokers: Brokers, subscriber: Subscriber, valkey: "redis.Redis"
) -> None:
    """A function that answers 200 with text would run again and again on a cluster; here too."""
    subscriber.answer = lambda _: respond(200, b"OK")
    url = await brokers.start(a_trigger())

    await post(url, an_event())

    assert (await the_dead_letter(valkey)).extensions["knativeerrorcode"] == "502"
    assert len(subscriber.events) == 4


async def test_an_answer_that_is_an_event_goes_back_into_the_broker(brokers: Brokers, subscriber: Subscriber) -> None:
    """Functions may reply instead of posting."""
    reply = an_event("reply", type_="replied")
    subscriber.answer = lambda event: respond_event(reply) if event.id == "1" else respond(204)
    url = await brokers.start(a_trigger())

    await post(url, an_event())

    await eventually(lambda: subscriber.ids() == ["1", "reply"])


async def test_a_subscriber_that_hangs_counts_as_no_answer(
    brokers: Brokers, subscriber: Subscriber, valkey: "redis.Redis"
) -> None:
    """The timeout is each attempt's own."""
    subscriber.answer = hang
    url = await brokers.start(a_trigger(extra="delivery: {retry: 1, backoffDelay: PT0.01S, timeout: PT0.1S}, "))

    await post(url, an_event())

    assert (await the_dead_letter(valkey)).extensions["knativeerrorcode"] == "500"
    assert len(subscriber.events) == 2


async def test_an_ordered_trigger_keeps_the_order_within_a_key(brokers: Brokers, subscriber: Subscriber) -> None:
    """While one key's event is retried, its successors wait, and other keys do not."""
    subscriber.answer = lambda event: respond(503 if event.id == "a1" and "b1" not in subscriber.ids() else 204)
    patient = "delivery: {retry: 100, backoffPolicy: linear, backoffDelay: PT0.01S}, "
    url = await brokers.start(a_trigger(metadata=ORDERED, extra=patient))

    for key, number in [("a", 1), ("a", 2), ("a", 3), ("b", 1)]:
        await post(url, an_event(f"{key}{number}", key=key))

    await eventually(lambda: "a3" in subscriber.ids())
    order = list(dict.fromkeys(subscriber.ids()))
    assert [id_ for id_ in order if id_.startswith("a")] == ["a1", "a2", "a3"]
    assert order.index("b1") < order.index("a2")


async def test_without_order_nobody_waits_for_another(brokers: Brokers, subscriber: Subscriber) -> None:
    """Events of one key run side by side unless order is asked for."""
    release = asyncio.Event()
    subscriber.answer = lambda event: hold(release) if event.id == "1" else respond(204)
    url = await brokers.start(a_trigger())

    await post(url, an_event("1"))
    await post(url, an_event("2"))

    await eventually(lambda: "2" in subscriber.ids())
    release.set()


async def test_handled_events_take_no_room(brokers: Brokers, subscriber: Subscriber, valkey: "redis.Redis") -> None:
    """What a Trigger has finished is gone, what it has not stays, and what it does not want it never has."""
    release = asyncio.Event()
    subscriber.answer = lambda event: hold(release) if event.id == "2" else respond(204)
    url = await brokers.start(a_trigger("one", uri="/one"), a_trigger("two", extra="filters: [{exact: {type: x}}], "))

    for id_ in ("1", "2", "3"):
        await post(url, an_event(id_))

    await entries_become(valkey, "one", 1)
    await entries_become(valkey, "two", 0)
    release.set()
    await entries_become(valkey, "one", 0)


async def test_a_trigger_that_is_gone_leaves_nothing(
    brokers: Brokers, subscriber: Subscriber, valkey: "redis.Redis"
) -> None:
    """Its backlog would otherwise stay for ever; a new Trigger begins with what is accepted from then on."""
    subscriber.answer = lambda _: respond(503)
    patient = "delivery: {retry: 100, backoffPolicy: linear, backoffDelay: PT1S}, "
    url = await brokers.start(a_trigger("old", extra=patient))
    await post(url, an_event("1"))
    await entries_become(valkey, "old", 1)
    await brokers.running.aclose()

    await brokers.start(a_trigger("new", uri="/new"))

    assert await valkey.exists(f"{JOURNAL}:trigger:old") == 0
    await entries_become(valkey, "new", 0)
    assert "/new" not in subscriber.paths


async def test_a_full_backlog_asks_producers_to_come_again(valkey_url: str) -> None:
    """Only what a Trigger with a full backlog wants is refused, and only until there is room."""
    async with open_valkey(valkey_url) as client:
        journal = Journal(client, NAME, [the_trigger("full", "a"), the_trigger("free", "b")], max_backlog=2)
        await journal.open_streams()
        for number in range(2):
            await journal.accept(an_event(str(number), type_="a"), ttl=9)

        with pytest.raises(Overloaded, match="wait for the Trigger full"):
            await journal.accept(an_event("2", type_="a"), ttl=9)
        await journal.accept(an_event("3", type_="b"), ttl=9)
        [first, _] = await journal.fresh("full", count=9, block_ms=10)
        await journal.finish("full", first)
        await journal.accept(an_event("4", type_="a"), ttl=9)


async def test_a_ping_source_sends_its_event(brokers: Brokers, subscriber: Subscriber) -> None:
    """The tick of functions that scale to zero."""
    ping = """
apiVersion: sources.knative.dev/v1
kind: PingSource
metadata: {name: tick, namespace: vexa}
spec: {schedule: "@every 1s", data: '{"a": 1}', sink: {ref: {kind: Service, name: subscriber}, uri: /internal/tick}}
"""
    await brokers.start(ping)

    await eventually(lambda: len(subscriber.events) == 2)
    first, second = subscriber.events
    assert (first.type, first.data, subscriber.paths[0]) == ("dev.knative.sources.ping", {"a": 1}, "/internal/tick")
    assert first.id != second.id


async def test_accepted_events_survive_the_death_of_the_broker(
    brokers: Brokers, subscriber: Subscriber, valkey_url: str
) -> None:
    """Killed while one event is being delivered and another waits, it delivers both when it is back."""
    subscriber.answer = hang
    (brokers.folder / "all.yaml").write_text(BROKER + a_trigger(metadata=ORDERED))
    port = free_port()
    environment = [f"{name}={value}" for name, value in brokers.environment.items()]
    process = await asyncio.create_subprocess_exec(
        "env",
        *environment,
        f"PORT={port}",
        sys.executable,
        "-m",
        "vexa_local.broker",
        stdout=asyncio.subprocess.DEVNULL,
    )
    await healthy(port)
    url = f"http://127.0.0.1:{port}/vexa/default"
    assert [(await post(url, an_event(id_))).status_code for id_ in ("1", "2")] == [202, 202]
    await eventually(lambda: subscriber.ids() == ["1"])

    process.send_signal(signal.SIGKILL)
    await process.wait()
    subscriber.answer = accept_all
    await brokers.start(a_trigger(metadata=ORDERED))

    await eventually(lambda: subscriber.ids() == ["1", "1", "2"])


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

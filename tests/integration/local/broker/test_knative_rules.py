"""The local Broker under the rules of `knative_rules`, and under those that take more than a row to tell."""

import asyncio
import itertools
import socket
from base64 import b64decode
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from tests.integration.local.broker.knative_rules import BROKER_URL, EVENT, HANG, HOLD, RULES, Rule, event_answer
from tests.waiting import DEADLINE_S

from vexa_events.envelope import Event, encode_binary, encode_structured, parse_http
from vexa_local.broker.app import build
from vexa_local.broker.chronicle import Note
from vexa_local.broker.courier import MAX_SENDING
from vexa_local.broker.delivery import Stage
from vexa_local.broker.manifests import Directory, load_resources
from vexa_local.broker.resources import BrokerName
from vexa_local.broker.work import Deps, open_deps, work

NAME = BrokerName(namespace="vexa", name="default")
MANIFESTS = """
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {{name: default, namespace: vexa}}
spec: {{delivery: {{retry: 9, deadLetterSink: {{uri: '{url}/dead'}}}}}}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {{name: all, namespace: vexa}}
spec: {{broker: default, subscriber: {{uri: '{url}/events'}},
  filter: {{attributes: {{type: vexa.test.posted.v1}}}}{more}}}
"""


@dataclass(slots=True)
class World:
    """The subscriber at /events, the dead letter sink at /dead, and what both were sent."""

    url: str = ""
    answers: dict[str, "itertools.chain[int | Response]"] = field(default_factory=dict)
    release: asyncio.Event = field(default_factory=asyncio.Event)
    held: int = 0
    most_held: int = 0
    requests: dict[str, list[tuple[Event, dict[str, str]]]] = field(default_factory=lambda: {"events": [], "dead": []})

    def answer_with(self, path: str, answers: Sequence[int | Response]) -> None:
        self.answers[path] = itertools.chain(answers, itertools.repeat(answers[-1]))

    async def take(self, request: Request) -> Response:
        path = request.path_params["path"]
        self.requests[path].append((parse_http(request.headers, await request.body()), dict(request.headers)))
        answer = next(self.answers[path])
        if answer == HANG:
            await asyncio.sleep(3_600)
        if answer == HOLD:
            return await self._hold()
        return answer if isinstance(answer, Response) else Response(status_code=answer)

    async def _hold(self) -> Response:
        self.held += 1
        self.most_held = max(self.most_held, self.held)
        await self.release.wait()
        self.held -= 1
        return Response(status_code=204)

    def events(self, path: str) -> list[Event]:
        return [event for event, _ in self.requests[path]]


@dataclass(slots=True)
class Broker:
    """A running Broker, posted to in process."""

    deps: Deps

    async def request(self, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> httpx.Response:
        transport = httpx.ASGITransport(build(self.deps))
        async with httpx.AsyncClient(transport=transport, base_url=BROKER_URL) as client:
            return await client.request(method, path, headers=headers, content=body)

    async def post(self, event: Event) -> None:
        headers, body = encode_binary(event)
        assert (await self.request("POST", "/vexa/default", headers, body)).status_code == 202

    async def notes(self, wanted: Callable[[list[Note]], bool]) -> list[Note]:
        """Wait until the chronicle says so."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                await self.deps.chronicle.write()
                notes = [note for _, note in await self.deps.chronicle.recent(NAME, after=None, count=1_000)]
                if wanted(notes):
                    return notes
                await asyncio.sleep(0.01)

    async def ended(self, count: int = 1) -> list[Note]:
        return await self.notes(lambda notes: sum(note.end is not None for note in notes) == count)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """The receivers, on a port of their own."""
    receivers = World()
    app = Starlette(routes=[Route("/{path}", receivers.take, methods=["POST"])])
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=0))
    task = asyncio.create_task(server.serve([listener]))
    receivers.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    receivers.answer_with("events", [204])
    receivers.answer_with("dead", [204])
    yield receivers
    server.should_exit = server.force_exit = True
    await task


@asynccontextmanager
async def running(valkey_url: str, folder: Path, manifests: str) -> AsyncIterator[Broker]:
    (folder / "all.yaml").write_text(manifests)
    resources = load_resources(folder, Directory(service_urls={}, broker_url=BROKER_URL))
    async with open_deps(resources, redis_url=valkey_url) as deps:
        working = asyncio.create_task(work(deps))
        try:
            yield Broker(deps)
        finally:
            working.cancel()
            await asyncio.wait([working])


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name.replace(" ", "-"))
async def test_a_rule_of_knative_holds(rule: Rule, world: World, valkey_url: str, tmp_path: Path) -> None:
    """The subscriber is asked so often, and the event ends where the rule says."""
    world.answer_with("events", rule.answers)
    world.answer_with("dead", rule.sink_answers)
    more = f", delivery: {{{rule.delivery}}}" if rule.delivery else ""
    extensions = {"knativebrokerttl": rule.ttl} if rule.ttl else {}

    async with running(valkey_url, tmp_path, MANIFESTS.format(url=world.url, more=more)) as broker:
        await broker.post(replace(EVENT, extensions=extensions))
        notes = await broker.ended()

    assert sum(note.stage is Stage.SUBSCRIBER for note in notes) == rule.attempts
    if rule.answers != [HANG]:  # what was given up at once may not have arrived
        assert len(world.requests["events"]) == rule.attempts
    assert notes[-1].end == ("delivered" if rule.code is None else "dead_lettered")
    letters = world.events("dead")
    assert len(letters) == (0 if rule.code is None else rule.letters)
    for letter in letters:
        assert letter.extensions["knativeerrorcode"] == str(rule.code)
        assert letter.extensions["knativeerrordest"] == rule.dest.format(url=world.url)
        assert (letter.id, letter.data) == (EVENT.id, EVENT.data)


INVALID = {"ce-id": "1", "ce-specversion": "1.0", "ce-source": "/x"}
VALID = {**INVALID, "ce-type": "t"}
STRUCTURED = {"content-type": "application/cloudevents+json"}
BATCHED = {"content-type": "application/cloudevents-batch+json"}


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "status", "source"),
    [
        ("POST", "/vexa/default", VALID, b"", 202, "INGRESS: binary mode"),
        ("POST", "/vexa/default/", VALID, b"", 202, "INGRESS: a slash at the end is cut off"),
        ("POST", "/vexa/default", *encode_structured(EVENT), 202, "INGRESS: structured mode"),
        ("POST", "/vexa/default", {}, b"", 400, "INGRESS: no event"),
        ("POST", "/vexa/default", {}, b"hello", 400, "INGRESS: no event"),
        ("POST", "/vexa/default", INVALID, b"", 400, "INGRESS: an attribute is missing"),
        ("POST", "/vexa/default", {**VALID, "ce-specversion": "0.1"}, b"", 400, "INGRESS: another version"),
        ("POST", "/vexa/default", STRUCTURED, b"{}", 400, "INGRESS: no event in structured mode"),
        ("POST", "/vexa/default", BATCHED, b"[]", 400, "INGRESS: a batch"),
        ("POST", "/vexa/default", {**VALID, "ce-knativebrokerttl": "1"}, b"", 400, "TTL: used up"),
        ("POST", "/vexa/default", {**VALID, "ce-knativebrokerttl": "2"}, b"", 202, "TTL: one round is left"),
        ("POST", "/vexa/default", {**VALID, "ce-knativebrokerttl": "x"}, b"", 202, "TTL: unreadable, begins anew"),
        ("POST", "/vexa/other", VALID, b"", 404, "INGRESS: no such Broker"),
        ("POST", "/other/default", VALID, b"", 404, "INGRESS: no such namespace"),
        ("POST", "/vexa/other", INVALID, b"", 400, "INGRESS: the event is read before the Broker is looked up"),
        ("POST", "/", VALID, b"", 404, "INGRESS: no path"),
        ("POST", "/vexa", VALID, b"", 400, "INGRESS: malformed path"),
        ("POST", "/vexa/default/more", VALID, b"", 400, "INGRESS: malformed path"),
        ("GET", "/vexa/default", {}, b"", 405, "INGRESS: only POST and OPTIONS"),
        ("PUT", "/vexa/default", VALID, b"", 405, "INGRESS: only POST and OPTIONS"),
        ("DELETE", "/vexa/default", {}, b"", 405, "INGRESS: only POST and OPTIONS"),
        ("OPTIONS", "/vexa/default", {}, b"", 200, "INGRESS: web hooks are welcome"),
    ],
)
async def test_the_ingress_answers_as_knatives(
    valkey_url: str,
    tmp_path: Path,
    method: str,
    path: str,
    headers: dict[str, str],
    body: bytes,
    status: int,
    source: str,
) -> None:
    """Each status is the one of a Knative Broker's ingress."""
    manifests = MANIFESTS.format(url="http://127.0.0.1:9", more="").split("---")[0]
    async with running(valkey_url, tmp_path, manifests) as broker:
        answer = await broker.request(method, path, headers, body)

    assert answer.status_code == status, source
    if method != "POST":
        assert answer.headers["allow"] == "POST, OPTIONS"


async def test_a_delivery_carries_what_the_broker_adds_and_no_more(
    world: World, valkey_url: str, tmp_path: Path
) -> None:
    """The arrival time, `Prefer: reply` for subscribers alone, and never the TTL (SPEC, FILTER, DISPATCH)."""
    world.answer_with("events", [422])

    async with running(valkey_url, tmp_path, MANIFESTS.format(url=world.url, more="")) as broker:
        await broker.post(replace(EVENT, extensions={"knativebrokerttl": "9"}))
        await broker.ended()

    [(delivered, headers)] = world.requests["events"]
    [(letter, sink_headers)] = world.requests["dead"]
    assert set(delivered.extensions) == {"knativearrivaltime"}
    assert headers["prefer"] == "reply"
    assert set(letter.extensions) == {"knativearrivaltime", "knativeerrordest", "knativeerrorcode"}
    assert "prefer" not in sink_headers


async def test_replies_go_round_until_their_ttl_is_used_up(world: World, valkey_url: str, tmp_path: Path) -> None:
    """Each round takes one from the TTL, whatever a reply says itself; the last event is a dead letter (TTL)."""
    world.answer_with("events", [event_answer(replace(EVENT, extensions={"knativebrokerttl": "200"}))])

    async with running(valkey_url, tmp_path, MANIFESTS.format(url=world.url, more="")) as broker:
        await broker.post(replace(EVENT, extensions={"knativebrokerttl": "6"}))
        await broker.ended(5)

    assert len(world.events("events")) == 5
    assert [letter.extensions["knativeerrorcode"] for letter in world.events("dead")] == ["400"]


async def test_an_events_own_arrival_time_is_replaced(world: World, valkey_url: str, tmp_path: Path) -> None:
    """A reply arrives anew (INGRESS)."""
    async with running(valkey_url, tmp_path, MANIFESTS.format(url=world.url, more="")) as broker:
        await broker.post(replace(EVENT, extensions={"knativearrivaltime": "2001-01-01T00:00:00Z"}))
        await broker.ended()

    [delivered] = world.events("events")
    assert not delivered.extensions["knativearrivaltime"].startswith("2001")


async def test_the_answer_of_a_failure_is_kept_up_to_its_limit(world: World, valkey_url: str, tmp_path: Path) -> None:
    """`knativeerrordata` is base64 of at most 1,024 characters (DISPATCH)."""
    world.answer_with("events", [Response("x" * 5_000, status_code=422)])

    async with running(valkey_url, tmp_path, MANIFESTS.format(url=world.url, more="")) as broker:
        await broker.post(EVENT)
        await broker.ended()

    [letter] = world.events("dead")
    assert len(letter.extensions["knativeerrordata"]) == 1_024
    assert b64decode(letter.extensions["knativeerrordata"]) == b"x" * 768


async def test_structured_deliveries_where_the_format_says_so(world: World, valkey_url: str, tmp_path: Path) -> None:
    """`format: json` (DELIVERY)."""
    more = ", delivery: {retry: 0, format: json}"
    async with running(valkey_url, tmp_path, MANIFESTS.format(url=world.url, more=more)) as broker:
        await broker.post(EVENT)
        await broker.ended()

    [(delivered, headers)] = world.requests["events"]
    assert headers["content-type"] == "application/cloudevents+json"
    assert delivered.data == EVENT.data


async def test_retries_are_counted_across_a_restart(world: World, valkey_url: str, tmp_path: Path) -> None:
    """A Broker that comes back goes on with the retries that are left, and waits out the wait."""
    world.answer_with("events", [503])
    delivery = ", delivery: {retry: 2, backoffPolicy: exponential, backoffDelay: PT0.6S, timeout: PT5S}"
    manifests = MANIFESTS.format(url=world.url, more=delivery)
    async with running(valkey_url, tmp_path, manifests) as broker:
        await broker.post(EVENT)
        await broker.notes(lambda notes: any(note.status == 503 for note in notes))

    async with running(valkey_url, tmp_path, manifests) as broker:
        notes = await broker.ended()

    tries = [note for note in notes if note.status == 503]
    assert [note.retry for note in tries] == [0, 1, 2]
    assert len(world.requests["events"]) == 3
    assert (tries[1].at - tries[0].at).total_seconds() >= 0.6


async def test_a_dead_letter_is_handed_over_after_a_restart_without_asking_the_subscriber_again(
    world: World, valkey_url: str, tmp_path: Path
) -> None:
    """What made it a dead letter is remembered with it."""
    world.answer_with("events", [Response("no", status_code=422)])
    world.answer_with("dead", [503])
    delivery = ", delivery: {retry: 5, backoffPolicy: linear, backoffDelay: PT0.5S, timeout: PT5S}"
    manifests = MANIFESTS.format(url=world.url, more=delivery)
    async with running(valkey_url, tmp_path, manifests) as broker:
        await broker.post(EVENT)
        await broker.notes(lambda notes: any(note.status == 503 for note in notes))

    world.answer_with("dead", [204])
    async with running(valkey_url, tmp_path, manifests) as broker:
        await broker.ended()

    assert len(world.requests["events"]) == 1
    assert [letter.extensions["knativeerrorcode"] for letter in world.events("dead")][-1] == "422"


async def test_a_trigger_sends_so_many_at_once_and_no_more(world: World, valkey_url: str, tmp_path: Path) -> None:
    """A slow subscriber is not run over."""
    world.answer_with("events", [HOLD])

    async with running(valkey_url, tmp_path, MANIFESTS.format(url=world.url, more="")) as broker:
        for number in range(40):
            await broker.post(replace(EVENT, id=str(number)))
        async with asyncio.timeout(DEADLINE_S):
            while world.held < MAX_SENDING:
                await asyncio.sleep(0.01)
        world.release.set()
        await broker.ended(40)

    assert world.most_held == MAX_SENDING

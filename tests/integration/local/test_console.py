"""The event console: what it shows, whom it answers, and redriving."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Callable
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
from tests.waiting import DEADLINE_S

from vexa_events.envelope import Event, encode_binary, parse_http
from vexa_local.broker.app import build
from vexa_local.broker.chronicle import MAX_WAITING, Chronicle, End
from vexa_local.broker.console import GUARD
from vexa_local.broker.manifests import Directory, load_resources
from vexa_local.broker.resources import BrokerName
from vexa_local.broker.work import Deps, open_deps, work

OF_BROKER = "/console/brokers/vexa/default"
NAME = BrokerName(namespace="vexa", name="default")
MANIFESTS = """
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {{name: default, namespace: vexa}}
spec: {{delivery: {{retry: 2, backoffPolicy: linear, backoffDelay: PT0.01S, timeout: PT5S}}}}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {{name: wanting, namespace: vexa}}
spec: {{broker: default, subscriber: {{uri: '{url}/events'}}, filters: [{{prefix: {{type: vexa.test.}}}}]}}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {{name: choosy, namespace: vexa}}
spec:
  broker: default
  subscriber: {{uri: '{url}/events'}}
  filters: [{{exact: {{type: vexa.test.posted.v1}}}}, {{cesql: "tenant IN (8, 9)"}}]
---
apiVersion: eventing.knative.dev/v1beta2
kind: EventType
metadata: {{name: posted, namespace: vexa}}
spec: {{type: vexa.test.posted.v1, reference: {{kind: Broker, name: default}}}}
"""
EVENT = Event(
    id="1", source="/vexa/test", type="vexa.test.posted.v1", data={"text": "spoken words"}, extensions={"tenant": "7"}
)


@dataclass(slots=True)
class Subscriber:
    """Answers with a status and remembers what it was sent."""

    status: int = 204
    events: list[Event] = field(default_factory=list)

    async def take(self, request: Request) -> Response:
        self.events.append(parse_http(request.headers, await request.body()))
        return Response(status_code=self.status)


@pytest.fixture
async def subscriber() -> Subscriber:
    return Subscriber()


@pytest.fixture
async def deps(subscriber: Subscriber, valkey_url: str, tmp_path: Path) -> AsyncIterator[Deps]:
    """A Broker at work, with its subscriber on a port of its own."""
    app = Starlette(routes=[Route("/events", subscriber.take, methods=["POST"])])
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=0))
    serving = asyncio.create_task(server.serve([listener]))
    (tmp_path / "all.yaml").write_text(MANIFESTS.format(url=f"http://127.0.0.1:{listener.getsockname()[1]}"))
    resources = load_resources(tmp_path, Directory(service_urls={}, broker_url="http://127.0.0.1:8060"))
    async with open_deps(resources, redis_url=valkey_url) as opened:
        working = asyncio.create_task(work(opened))
        yield opened
        working.cancel()
        await asyncio.wait([working])
    server.should_exit = True
    await serving


@pytest.fixture
async def page(deps: Deps) -> AsyncIterator[httpx.AsyncClient]:
    """A browser on this machine."""
    transport = httpx.ASGITransport(build(deps))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8060") as client:
        yield client


async def post(page: httpx.AsyncClient, event: Event) -> None:
    headers, body = encode_binary(event)
    assert (await page.post("/vexa/default", headers=headers, content=body)).status_code == 202


async def notes(page: httpx.AsyncClient, deps: Deps, enough: Callable[[list[Any]], bool]) -> list[Any]:
    """Ask until the notes suffice."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            await deps.chronicle.write()
            found: list[Any] = (await page.get(f"{OF_BROKER}/notes")).json()["notes"]
            if enough(found):
                return found
            await asyncio.sleep(0.01)


def has_ended(found: list[Any]) -> bool:
    return any("end" in note for note in found)


async def test_an_event_is_shown_with_every_triggers_verdict(page: httpx.AsyncClient, deps: Deps) -> None:
    """Which Trigger matched, and for each that did not, which of its filters stood in the way and why."""
    await post(page, EVENT)

    shown = (await notes(page, deps, has_ended))[0]

    wanting, choosy = shown["verdicts"]
    assert (shown["event"]["id"], shown["event"]["extensions"]["tenant"], shown["is_known"]) == ("1", "7", True)
    assert (wanting["trigger"], wanting["passed"]) == ("wanting", True)
    assert (choosy["trigger"], choosy["passed"]) == ("choosy", False)
    assert [(part["text"], part["passed"]) for part in choosy["parts"]] == [
        ("type = vexa.test.posted.v1", True),
        ("tenant IN (8, 9)", False),
    ]


async def test_attempts_are_shown_with_status_wait_and_end(
    page: httpx.AsyncClient, deps: Deps, subscriber: Subscriber
) -> None:
    """A delivery that fails can be followed attempt by attempt."""
    subscriber.status = 503
    await post(page, EVENT)

    found = await notes(page, deps, has_ended)

    tries = [note for note in found if "status" in note]
    assert [(one["trigger"], one["stage"], one["retry"], one["status"], one.get("wait_s")) for one in tries] == [
        ("wanting", "subscriber", 0, 503, 0.0),
        ("wanting", "subscriber", 1, 503, 0.01),
        ("wanting", "subscriber", 2, 503, None),
    ]
    assert found[-1]["end"] == "buried"


async def test_what_was_said_is_not_kept_for_show(page: httpx.AsyncClient, deps: Deps, valkey_url: str) -> None:
    """A deleted meeting leaves no word behind; the console's history holds attributes only."""
    await post(page, EVENT)
    await notes(page, deps, has_ended)

    async with redis.Redis.from_url(valkey_url) as client:
        kept: Any = await client.xrange("broker:vexa/default:notes")

    assert kept
    assert b"spoken words" not in repr(kept).encode()


async def test_an_event_without_an_event_type_is_taken_and_marked(page: httpx.AsyncClient, deps: Deps) -> None:
    """Knative carries types that nobody registered; a typing error shows here."""
    await post(page, Event(id="2", source="/x", type="vexa.tset.posted.v1", data={}))

    [shown] = await notes(page, deps, bool)

    assert shown["is_known"] is False
    assert not any(verdict["passed"] for verdict in shown["verdicts"])


async def test_the_page_asks_for_what_is_new(page: httpx.AsyncClient, deps: Deps) -> None:
    """A position continues where the last answer ended."""
    await post(page, EVENT)
    await notes(page, deps, has_ended)
    read = (await page.get(f"{OF_BROKER}/notes")).json()

    again = (await page.get(f"{OF_BROKER}/notes", params={"after": read["next"]})).json()

    assert again["notes"] == []
    assert again["next"] == read["next"]


async def test_a_dead_letter_is_redriven_as_it_was(page: httpx.AsyncClient, deps: Deps, subscriber: Subscriber) -> None:
    """It goes into the Broker again without what the failure added, and is no dead letter any more."""
    subscriber.status = 422
    await post(page, EVENT)
    await notes(page, deps, has_ended)
    [letter] = (await page.get(f"{OF_BROKER}/letters")).json()["letters"]
    subscriber.status = 204

    answer = await page.post(f"{OF_BROKER}/letters/broker/{letter['id']}/redrive", headers={GUARD: "redrive"})

    assert (letter["type"], letter["code"], answer.status_code) == (EVENT.type, "422", 202)
    await notes(page, deps, lambda found: any(note.get("end") == "delivered" for note in found))
    again = subscriber.events[-1]
    assert (again.id, again.data) == (EVENT.id, EVENT.data)
    assert set(again.extensions) == {"tenant", "knativearrivaltime"}
    assert (await page.get(f"{OF_BROKER}/letters")).json()["letters"] == []


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("letters/broker/1-1/redrive", {}, 403),
        ("letters/broker/1-1/redrive", {GUARD: "redrive"}, 404),
        ("letters/broker/oops/redrive", {GUARD: "redrive"}, 400),
        ("letters/elsewhere/1-1/redrive", {GUARD: "redrive"}, 404),
    ],
)
async def test_a_redrive_that_cannot_be_is_refused(
    page: httpx.AsyncClient, path: str, headers: dict[str, str], status: int
) -> None:
    """The header is one that another site cannot send without being asked first."""
    assert (await page.post(f"{OF_BROKER}/{path}", headers=headers)).status_code == status


@pytest.mark.parametrize(
    "path", ["/", "/console/console.js", "/console/brokers", f"{OF_BROKER}/notes", f"{OF_BROKER}/letters"]
)
async def test_another_name_for_this_machine_is_refused(page: httpx.AsyncClient, path: str) -> None:
    """A web site that points its own name here reads nothing."""
    assert (await page.get(path, headers={"host": "evil.example"})).status_code == 403
    assert (await page.get(path, headers={"host": "localhost:8060"})).status_code == 200


@pytest.mark.parametrize("path", ["/", "/console/console.js", "/console/console.css", "/console/icon.svg"])
async def test_the_page_loads_nothing_from_elsewhere(page: httpx.AsyncClient, path: str) -> None:
    """Its policy allows its own files alone, and nothing in them needs more."""
    answer = await page.get(path)

    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    foreign = re.findall(r"https?://[^\s\"']+", answer.text.replace("http://www.w3.org/2000/svg", ""))
    inline = re.findall(r"<style|<script>|\sstyle=|\son[a-z]+=|innerHTML|\beval\(", answer.text)
    assert (foreign, inline) == ([], [])


async def test_the_console_stands_beside_the_ingress(page: httpx.AsyncClient) -> None:
    """Unknown files are not there; what is posted to the root names no Broker."""
    assert (await page.get("/console/settings.py")).status_code == 404
    assert (await page.post("/", content=b"{}")).status_code == 404
    assert (await page.get("/console/brokers/vexa/other/notes")).status_code == 404
    assert (await page.get(f"{OF_BROKER}/notes", params={"after": "x"})).status_code == 400


async def test_notes_that_cannot_be_written_are_counted_and_cost_nothing_else() -> None:
    """The chronicle is bounded in memory, and a Valkey that is away loses notes only."""
    async with redis.Redis.from_url("redis://127.0.0.1:9") as nowhere:
        chronicle = Chronicle(nowhere)
        for _ in range(MAX_WAITING + 3):
            chronicle.ended(NAME, "1-1", "wanting", End.DELIVERED)
        await chronicle.write()

    assert chronicle.dropped == MAX_WAITING + 3

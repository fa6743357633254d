"""What the Broker takes, and to whom it gives it."""

import httpx
import pytest
from tests.integration.local.broker.local_broker import (
    NAME,
    Brokers,
    Subscriber,
    a_trigger,
    an_event,
    post,
    the_trigger,
)
from tests.waiting import DEADLINE_S, eventually

from vexa_events.envelope import encode_structured
from vexa_events.errors import Overloaded
from vexa_local.broker.journal import Journal
from vexa_local.broker.valkey import open_valkey


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

    async with httpx.AsyncClient(timeout=DEADLINE_S) as client:
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

    async with httpx.AsyncClient(timeout=DEADLINE_S) as client:
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

"""The order of events, the room that they take, and what a dead Broker leaves behind."""

import asyncio
import signal
import sys

import redis.asyncio as redis
from tests.integration.local.broker.local_broker import (
    BROKER,
    JOURNAL,
    ORDERED,
    Brokers,
    Subscriber,
    a_trigger,
    accept_all,
    an_event,
    entries_become,
    hang,
    healthy,
    hold,
    post,
    respond,
)
from tests.ports import free_port
from tests.waiting import eventually


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

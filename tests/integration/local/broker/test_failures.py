"""What becomes of an event that a subscriber does not take."""

from base64 import b64decode

import pytest
import redis.asyncio as redis
from tests.integration.local.broker.local_broker import (
    DEAD,
    Brokers,
    Subscriber,
    a_trigger,
    an_event,
    hang,
    post,
    respond,
    respond_event,
    the_dead_letter,
)
from tests.waiting import eventually


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
    url = await brokers.start(a_trigger(extra="delivery: {retry: 1, backoffDelay: PT0.01S, timeout: PT1S}, "))

    await post(url, an_event())

    assert (await the_dead_letter(valkey)).extensions["knativeerrorcode"] == "500"
    assert len(subscriber.events) == 2

"""How often a delivery is tried, and what ends it."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from tests.integration.functions.webhooks.receiving import Receiver, a_change, deliveries, make_due, send

from vexa_events.identity import UserId
from vexa_functions.store.tables import Store


@pytest.mark.parametrize("status", [500, 503, 429])
async def test_a_receiver_that_fails_is_tried_again_with_the_same_body(
    api: httpx.AsyncClient, user_id: UserId, hooked: Receiver, postgres_url: str, status: int
) -> None:
    """After a pause, on the tick; the event id stays, the time of the signature does not matter."""
    hooked.status = status
    await send(api, a_change(user_id))
    (failed,) = await deliveries(api)
    await api.post("/internal/tick")
    tried_in_the_pause = len(hooked.posts)
    hooked.status = 200
    await make_due(postgres_url)

    answer = await api.post("/internal/tick")

    (delivered,) = await deliveries(api)
    assert answer.status_code == 204
    assert (failed["status"], failed["last_status_code"], failed["attempts"]) == ("pending", status, 1)
    assert tried_in_the_pause == 1
    assert len({body for _, body in hooked.posts}) == 1
    assert (delivered["status"], delivered["attempts"], delivered["last_error"]) == ("delivered", 2, None)
    assert delivered["next_attempt_at"] is None


async def test_the_receiver_may_ask_for_time(api: httpx.AsyncClient, user_id: UserId, hooked: Receiver) -> None:
    """Retry-After moves the next attempt back."""
    hooked.status, hooked.headers = 429, {"retry-after": "3600"}

    await send(api, a_change(user_id))

    (delivery,) = await deliveries(api)
    pause = datetime.fromisoformat(delivery["next_attempt_at"]) - datetime.fromisoformat(delivery["last_attempt_at"])
    assert timedelta(minutes=59) < pause < timedelta(minutes=61)


@pytest.mark.parametrize("status", [302, 400, 401, 404, 410])
async def test_a_final_refusal_is_not_repeated(
    api: httpx.AsyncClient, user_id: UserId, hooked: Receiver, status: int
) -> None:
    """A redirect is not followed, wherever it leads."""
    hooked.status, hooked.headers = status, {"location": hooked.url}

    await send(api, a_change(user_id))

    (delivery,) = await deliveries(api, status="failed")
    assert (len(hooked.posts), delivery["last_status_code"]) == (1, status)


async def test_a_receiver_that_is_down_does_not_hold_the_event(
    api: httpx.AsyncClient, user_id: UserId, hooked: Receiver
) -> None:
    """The Broker is answered; the delivery waits in the database."""
    await api.put("/user/webhook", json={"webhook_url": "http://127.0.0.1:9/hook"})

    answer = await send(api, a_change(user_id))

    (delivery,) = await deliveries(api)
    assert answer.status_code == 204
    assert (delivery["status"], delivery["last_status_code"]) == ("pending", None)
    assert "ConnectError" in delivery["last_error"]


async def test_what_a_courier_left_behind_is_delivered_after_its_lease(
    api: httpx.AsyncClient, user_id: UserId, hooked: Receiver, store: Store, postgres_url: str
) -> None:
    """An instance that vanished in the middle of an attempt delays a notice, no more."""
    await api.put("/user/webhook", json={"webhook_url": "http://127.0.0.1:9/hook"})
    await send(api, a_change(user_id))
    await api.put("/user/webhook", json={"webhook_url": hooked.url})
    await make_due(postgres_url)
    async with store.reading() as tables:
        claim = await tables.webhook_deliveries.claim_next(lease=timedelta(seconds=60))
    await api.post("/internal/tick")
    while_leased = list(hooked.posts)
    await make_due(postgres_url)

    await api.post("/internal/tick")

    assert claim is not None
    assert while_leased == []
    assert len(hooked.posts) == 1


async def test_couriers_side_by_side_try_each_delivery_once(
    api: httpx.AsyncClient, user_id: UserId, hooked: Receiver, postgres_url: str
) -> None:
    """Ticks that overlap, on one instance or many, share the work."""
    hooked.status = 503
    for sequence in range(12):
        await send(api, a_change(user_id, sequence=sequence))
    hooked.status = 200
    hooked.posts.clear()
    await make_due(postgres_url)

    await asyncio.gather(*(api.post("/internal/tick") for _ in range(4)))

    assert len(hooked.posts) == len(set(hooked.event_ids)) == 12


async def test_redelivery_repeats_the_event(api: httpx.AsyncClient, user_id: UserId, hooked: Receiver) -> None:
    """A user who lost a notice asks for it again, and knows it by its id."""
    await send(api, a_change(user_id))
    (delivery,) = await deliveries(api)

    answer = await api.post(f"/user/webhooks/deliveries/{delivery['id']}/redeliver")

    assert (answer.status_code, answer.json()["status"], answer.json()["attempts"]) == (202, "delivered", 2)
    assert hooked.posts[0][1] == hooked.posts[1][1]


async def test_a_failed_delivery_gets_all_its_attempts_again(
    api: httpx.AsyncClient, user_id: UserId, hooked: Receiver
) -> None:
    """Redelivery to a receiver that is still down is tried further."""
    hooked.status = 404
    await send(api, a_change(user_id))
    (delivery,) = await deliveries(api)
    hooked.status = 503

    answer = await api.post(f"/user/webhooks/deliveries/{delivery['id']}/redeliver")

    assert (answer.json()["status"], answer.json()["last_status_code"]) == ("pending", 503)


async def test_one_users_hanging_receiver_does_not_keep_others_waiting(
    api: httpx.AsyncClient,
    user_id: UserId,
    hooked: Receiver,
    store: Store,
    serve: Any,
    headers_of: Callable[[UserId], dict[str, str]],
) -> None:
    """Users take turns: the first notice of one comes before the second of another."""
    await api.put("/user/webhook", json={"webhook_url": "http://127.0.0.1:9/down"})
    for sequence in range(20):
        await send(api, a_change(user_id, sequence=sequence))
    async with store.transaction() as tables:
        other = await tables.users.insert(email="bob@example.org", name=None, image_url=None, max_concurrent_bots=1)
    assert other is not None
    api.headers.update(headers_of(other.id))
    await api.put("/user/webhook", json={"webhook_url": "http://127.0.0.1:9/down"})
    await send(api, a_change(other.id))
    async with store.transaction() as tables:
        await tables.webhook_deliveries._connection.execute(
            "UPDATE webhook_deliveries SET due_at = now() - interval '1 minute' * (21 - id)"
        )

    async with store.reading() as tables:
        turns = [await tables.webhook_deliveries.claim_next(lease=timedelta(minutes=1)) for _ in range(2)]

    assert [turn.delivery.user_id for turn in turns if turn] == [user_id, other.id]

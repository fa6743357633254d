"""The webhooks function, on real Postgres, with a real receiver."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from vexa_events.envelope import Event, encode_binary
from vexa_events.identity import BotStatus, UserId
from vexa_events.lifecycle import BotStatusChanged, MeetingFinalized
from vexa_events.registry import bot_event, finalized_event
from vexa_functions.store.tables import Store

SECRET = "a secret that both sides know"
AT = datetime(2026, 11, 1, 9, 0, tzinfo=UTC)


@dataclass
class Receiver:
    """A user's server: what it was sent, and how it answers."""

    url: str = ""
    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    posts: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def told(self) -> list[str]:
        return [json.loads(body)["event_type"] for _, body in self.posts]

    @property
    def event_ids(self) -> list[str]:
        return [json.loads(body)["event_id"] for _, body in self.posts]


@pytest.fixture
async def receiver(serve: Any) -> Receiver:
    """A receiver that is up."""
    remembered = Receiver()
    remembered.gate.set()

    async def take(request: Request) -> Response:
        remembered.posts.append((dict(request.headers), await request.body()))
        await remembered.gate.wait()
        return Response(status_code=remembered.status, headers=remembered.headers)

    remembered.url = await serve(Starlette(routes=[Route("/hook", take, methods=["POST"])])) + "/hook"
    return remembered


@pytest.fixture
async def user_id(store: Store) -> UserId:
    """A user."""
    async with store.transaction() as tables:
        created = await tables.users.insert(email="ann@example.org", name="Ann", image_url=None, max_concurrent_bots=2)
    assert created is not None
    return created.id


@pytest.fixture
async def api(
    webhooks: httpx.AsyncClient, user_id: UserId, headers_of: Callable[[UserId], dict[str, str]]
) -> httpx.AsyncClient:
    """The function, called for that user."""
    webhooks.headers.update(headers_of(user_id))
    return webhooks


@pytest.fixture
async def hooked(api: httpx.AsyncClient, receiver: Receiver) -> Receiver:
    """The receiver, once the user has named it."""
    answer = await api.put("/user/webhook", json={"webhook_url": receiver.url, "webhook_secret": SECRET})
    assert answer.status_code == 200, answer.text
    return receiver


def a_change(user_id: int, status: BotStatus = BotStatus.ACTIVE, *, sequence: int = 3, meeting_id: int = 7) -> Event:
    return bot_event(
        BotStatusChanged(
            meeting_id=meeting_id,
            user_id=user_id,
            session_uid="s1",
            platform="google_meet",
            native_meeting_id="abc-defg-hij",
            status=status,
            sequence=sequence,
            at=AT,
        )
    )


def an_end(user_id: int) -> Event:
    return finalized_event(
        MeetingFinalized(
            meeting_id=7,
            user_id=user_id,
            session_uid="s1",
            platform="google_meet",
            native_meeting_id="abc-defg-hij",
            status=BotStatus.COMPLETED,
            segments=12,
            captured_s=60.0,
            missing_s=0.5,
            at=AT,
        )
    )


async def send(webhooks: httpx.AsyncClient, event: Event) -> httpx.Response:
    headers, body = encode_binary(event)
    return await webhooks.post("/events", headers=headers, content=body)


async def deliveries(api: httpx.AsyncClient, **query: Any) -> list[dict[str, Any]]:
    page: list[dict[str, Any]] = (await api.get("/user/webhooks/deliveries", params=query)).json()["deliveries"]
    return page


async def make_due(postgres_url: str) -> None:
    """Let the pause of every delivery pass."""
    connection = await asyncpg.connect(postgres_url)
    await connection.execute("UPDATE webhook_deliveries SET due_at = now() WHERE due_at IS NOT NULL")
    await connection.close()


async def test_a_fact_is_delivered_signed(api: httpx.AsyncClient, user_id: UserId, hooked: Receiver) -> None:
    """The receiver proves with time, raw body and its secret that it was us."""
    taken = await send(api, a_change(user_id))

    ((headers, body),) = hooked.posts
    expected = hmac.new(SECRET.encode(), headers["x-webhook-timestamp"].encode() + b"." + body, hashlib.sha256)
    assert (taken.status_code, taken.content) == (204, b"")
    assert headers["x-webhook-signature"] == f"sha256={expected.hexdigest()}"
    assert headers["content-type"] == "application/json"
    assert json.loads(body)["data"]["meeting"]["status"] == "active"
    assert SECRET not in str(hooked.posts)


async def test_every_kind_of_notice_is_told(api: httpx.AsyncClient, user_id: UserId, hooked: Receiver) -> None:
    """Changes, both ends, and the finished transcript."""
    for event in (
        a_change(user_id),
        a_change(user_id, BotStatus.COMPLETED, sequence=4),
        a_change(user_id, BotStatus.FAILED, sequence=5),
        an_end(user_id),
    ):
        await send(api, event)

    assert sorted(hooked.told) == sorted(
        [*["meeting.status_change"] * 3, "meeting.completed", "bot.failed", "transcription.ready"]
    )


async def test_an_event_that_comes_again_is_told_once(
    api: httpx.AsyncClient, user_id: UserId, hooked: Receiver
) -> None:
    """Brokers deliver at least once; nobody is billed for that."""
    answers = await asyncio.gather(*(send(api, a_change(user_id)) for _ in range(5)))

    assert {answer.status_code for answer in answers} == {204}
    assert hooked.told == ["meeting.status_change"]


async def test_a_user_without_a_webhook_is_told_nothing(api: httpx.AsyncClient, user_id: UserId) -> None:
    """The event is done with all the same."""
    answer = await send(api, a_change(user_id))

    assert answer.status_code == 204
    assert await deliveries(api) == []


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


async def test_a_fact_that_no_event_brought_is_found_on_the_tick(
    api: httpx.AsyncClient, user_id: UserId, hooked: Receiver, store: Store, postgres_url: str
) -> None:
    """The outbox holds the facts; a Broker that lost one delays it."""
    async with store.transaction() as tables:
        await tables.outbox.add(a_change(user_id))
    await api.post("/internal/tick")
    at_once = list(hooked.told)
    connection = await asyncpg.connect(postgres_url)
    await connection.execute("UPDATE outbox SET created_at = created_at - interval '1 minute'")
    await connection.execute("UPDATE webhooks SET created_at = created_at - interval '2 minutes'")
    await connection.close()

    await api.post("/internal/tick")
    await api.post("/internal/tick")

    assert at_once == []
    assert hooked.told == ["meeting.status_change"]


async def test_facts_from_before_the_webhook_are_not_told(
    api: httpx.AsyncClient, user_id: UserId, receiver: Receiver, store: Store, postgres_url: str
) -> None:
    """Setting a webhook does not pour out the past."""
    async with store.transaction() as tables:
        await tables.outbox.add(a_change(user_id))
    connection = await asyncpg.connect(postgres_url)
    await connection.execute("UPDATE outbox SET created_at = created_at - interval '1 minute'")
    await connection.close()
    await api.put("/user/webhook", json={"webhook_url": receiver.url})

    await api.post("/internal/tick")

    assert receiver.posts == []


async def test_nothing_is_told_of_a_deleted_meeting(
    api: httpx.AsyncClient, user_id: UserId, hooked: Receiver, store: Store
) -> None:
    """An event that was still on its way brings back neither its ids nor its name."""
    async with store.transaction() as tables:
        meeting = await tables.meetings.insert(
            user_id, platform="google_meet", native_meeting_id="abc-defg-hij", meeting_url=None
        )
        await tables.erasure.erase(meeting.id, deleted_mark=b"mark")

    answer = await send(api, a_change(user_id, meeting_id=meeting.id))

    assert answer.status_code == 204
    assert (hooked.posts, await deliveries(api)) == ([], [])


async def test_nothing_is_told_of_a_meeting_that_is_deleted_right_then(
    api: httpx.AsyncClient, user_id: UserId, hooked: Receiver, store: Store, until_waiting: Any
) -> None:
    """An event that comes while the deletion is not committed yet leaves no delivery behind it."""
    async with store.transaction() as tables:
        meeting = await tables.meetings.insert(
            user_id, platform="google_meet", native_meeting_id="abc-defg-hij", meeting_url=None
        )

    async with store.transaction() as tables:
        await tables.erasure.erase(meeting.id, deleted_mark=b"mark")
        sending = asyncio.create_task(send(api, a_change(user_id, meeting_id=meeting.id)))
        await until_waiting(sending)
    answer = await sending

    assert answer.status_code == 204
    assert (hooked.posts, await deliveries(api)) == ([], [])


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


async def test_a_removed_webhook_cancels_what_is_pending(
    api: httpx.AsyncClient, user_id: UserId, hooked: Receiver, postgres_url: str
) -> None:
    """Nothing more is sent, and a redelivery says why not."""
    hooked.status = 503
    await send(api, a_change(user_id))

    removed = [(await api.delete("/user/webhook")).status_code for _ in range(2)]
    await make_due(postgres_url)
    await api.post("/internal/tick")

    (delivery,) = await deliveries(api)
    again = await api.post(f"/user/webhooks/deliveries/{delivery['id']}/redeliver")
    assert removed == [204, 204]
    assert (delivery["status"], len(hooked.posts)) == ("cancelled", 1)
    assert again.status_code == 409
    assert (await api.get("/user/webhook")).status_code == 404


async def test_the_webhook_is_answered_as_the_user(api: httpx.AsyncClient, user_id: UserId) -> None:
    """The shape that clients of this API expect; the secret is told by neither route."""
    set_ = await api.put("/user/webhook", json={"webhook_url": "https://hooks.example/x", "webhook_secret": SECRET})
    read = await api.get("/user/webhook")

    user = set_.json()
    assert {name: user[name] for name in ("id", "email", "name", "max_concurrent_bots")} == {
        "id": user_id,
        "email": "ann@example.org",
        "name": "Ann",
        "max_concurrent_bots": 2,
    }
    assert user["data"] == {"webhook_url": "https://hooks.example/x"}
    assert (read.json()["webhook_url"], read.json()["has_secret"]) == ("https://hooks.example/x", True)
    assert SECRET not in set_.text + read.text


@pytest.mark.parametrize(("body", "has_secret"), [({}, True), ({"webhook_secret": None}, False)])
async def test_a_secret_stays_until_it_is_removed(
    api: httpx.AsyncClient, body: dict[str, None], has_secret: bool
) -> None:
    """Changing the address alone must not stop the signatures."""
    await api.put("/user/webhook", json={"webhook_url": "https://hooks.example/x", "webhook_secret": SECRET})

    await api.put("/user/webhook", json={"webhook_url": "https://hooks.example/y", **body})

    assert (await api.get("/user/webhook")).json()["has_secret"] is has_secret


@pytest.mark.parametrize(
    "url", ["http://10.0.0.1/x", "http://169.254.169.254/latest/meta-data", "http://2852039166/", "ftp://hooks.example"]
)
async def test_an_address_that_is_not_public_is_refused_at_once(api: httpx.AsyncClient, url: str) -> None:
    """The message names the field."""
    answer = await api.put("/user/webhook", json={"webhook_url": url})

    assert answer.status_code == 422
    assert "webhook_url" in answer.json()["detail"]


async def test_deliveries_are_paged_and_filtered(api: httpx.AsyncClient, user_id: UserId, hooked: Receiver) -> None:
    """Newest first; the page says where the next one begins."""
    for sequence in range(4):
        await send(api, a_change(user_id, sequence=sequence))
    hooked.status = 400
    await send(api, a_change(user_id, sequence=4))

    first = (await api.get("/user/webhooks/deliveries", params={"limit": 3})).json()
    second = (await api.get("/user/webhooks/deliveries", params={"limit": 3, "before": first["next_before"]})).json()
    failed = await deliveries(api, status="failed")
    wrong = await api.get("/user/webhooks/deliveries", params={"status": "lost"})

    sequences = [[item["payload"]["data"]["sequence"] for item in page["deliveries"]] for page in (first, second)]
    assert sequences == [[4, 3, 2], [1, 0]]
    assert second["next_before"] is None
    assert [item["payload"]["data"]["sequence"] for item in failed] == [4]
    assert wrong.status_code == 422


async def test_two_users_never_meet(
    api: httpx.AsyncClient,
    user_id: UserId,
    hooked: Receiver,
    store: Store,
    headers_of: Callable[[UserId], dict[str, str]],
) -> None:
    """Another user neither sees nor repeats what is not theirs, and is told nothing of it."""
    async with store.transaction() as tables:
        other = await tables.users.insert(email="bob@example.org", name=None, image_url=None, max_concurrent_bots=1)
    assert other is not None
    await send(api, a_change(user_id))
    (delivery,) = await deliveries(api)
    api.headers.update(headers_of(other.id))
    await api.put("/user/webhook", json={"webhook_url": hooked.url})

    repeated = await api.post(f"/user/webhooks/deliveries/{delivery['id']}/redeliver")

    assert repeated.status_code == 404
    assert await deliveries(api) == []
    assert len(hooked.posts) == 1


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


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/user/webhook"),
        ("GET", "/user/webhook"),
        ("DELETE", "/user/webhook"),
        ("GET", "/user/webhooks/deliveries"),
        ("POST", "/user/webhooks/deliveries/1/redeliver"),
    ],
)
async def test_nobody_calls_past_the_gateway(webhooks: httpx.AsyncClient, method: str, path: str) -> None:
    """Without a signed identity there is no user."""
    answer = await webhooks.request(method, path, json={"webhook_url": "https://hooks.example"})

    assert answer.status_code == 401


async def test_an_event_that_is_not_ours_goes_to_the_dead_letters(webhooks: httpx.AsyncClient) -> None:
    """422 is what a Broker does not repeat."""
    answer = await send(webhooks, Event(id="1", source="/x", type="vexa.other.happened.v1", data={}))

    assert answer.status_code == 422

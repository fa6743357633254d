"""Which facts a user is told."""

import asyncio
import hashlib
import hmac
import json

import asyncpg
import httpx
from tests.integration.functions.webhooks.receiving import SECRET, Receiver, a_change, an_end, deliveries, send
from tests.waiting import until_locked_out

from vexa_events.envelope import Event
from vexa_events.identity import BotStatus, UserId
from vexa_functions.store.tables import Store


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
    api: httpx.AsyncClient, user_id: UserId, hooked: Receiver, store: Store, postgres_url: str
) -> None:
    """An event that comes while the deletion is not committed yet leaves no delivery behind it."""
    async with store.transaction() as tables:
        meeting = await tables.meetings.insert(
            user_id, platform="google_meet", native_meeting_id="abc-defg-hij", meeting_url=None
        )

    async with store.transaction() as tables:
        await tables.erasure.erase(meeting.id, deleted_mark=b"mark")
        sending = asyncio.create_task(send(api, a_change(user_id, meeting_id=meeting.id)))
        await until_locked_out(postgres_url, sending)
    answer = await sending

    assert answer.status_code == 204
    assert (hooked.posts, await deliveries(api)) == ([], [])


async def test_an_event_that_is_not_ours_goes_to_the_dead_letters(webhooks: httpx.AsyncClient) -> None:
    """422 is what a Broker does not repeat."""
    answer = await send(webhooks, Event(id="1", source="/x", type="vexa.other.happened.v1", data={}))

    assert answer.status_code == 422

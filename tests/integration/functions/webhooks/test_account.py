"""What users say and see of their webhook."""

from collections.abc import Callable

import httpx
import pytest
from tests.integration.functions.webhooks.receiving import SECRET, Receiver, a_change, deliveries, make_due, send

from vexa_events.identity import UserId
from vexa_functions.store.tables import Store


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

"""Users and tokens, on real Postgres."""

from typing import Any

import httpx
import pytest

from vexa_events.errors import InvalidMessage
from vexa_functions.admin.settings import AdminSettings
from vexa_functions.store.tables import Store

ANN = {"email": "Ann+x@Example.org", "name": "Ann", "max_concurrent_bots": 3}


async def test_a_user_is_created_once_and_found_afterwards(admin: httpx.AsyncClient) -> None:
    """The same e-mail in another case is the same user."""
    created = await admin.post("/admin/users", json=ANN)
    again = await admin.post("/admin/users", json={"email": "ann+X@example.org"})
    by_email = await admin.get("/admin/users/email/ann+x@example.org")
    by_id = await admin.get(f"/admin/users/{created.json()['id']}")

    assert (created.status_code, again.status_code) == (201, 200)
    assert created.json() == again.json() == by_email.json() == by_id.json()
    assert (created.json()["name"], created.json()["max_concurrent_bots"]) == ("Ann", 3)


async def test_a_new_user_may_have_one_bot_unless_told_otherwise(admin: httpx.AsyncClient) -> None:
    """0 is a number that somebody chose, and means unlimited."""
    default = await admin.post("/admin/users", json={"email": "a@example.org"})
    unlimited = await admin.post("/admin/users", json={"email": "b@example.org", "max_concurrent_bots": 0})

    limits = (default.json()["max_concurrent_bots"], unlimited.json()["max_concurrent_bots"])
    assert limits == (1, 0)


async def test_a_change_touches_only_what_it_names(admin: httpx.AsyncClient) -> None:
    """An absent field stays, a null one is cleared."""
    user_id = (await admin.post("/admin/users", json=ANN)).json()["id"]

    changed = await admin.patch(f"/admin/users/{user_id}", json={"name": None, "image_url": "https://example.org/a"})

    assert changed.json()["name"] is None
    assert changed.json()["image_url"] == "https://example.org/a"
    assert changed.json()["max_concurrent_bots"] == 3


async def test_users_are_listed_as_a_bare_list(admin: httpx.AsyncClient) -> None:
    """Paging is by skip and limit, in order of creation."""
    for name in "abc":
        await admin.post("/admin/users", json={"email": f"{name}@example.org"})

    page = (await admin.get("/admin/users", params={"skip": 1, "limit": 1})).json()

    assert [user["email"] for user in page] == ["b@example.org"]


async def test_a_token_is_shown_once(admin: httpx.AsyncClient, store: Any) -> None:
    """The database holds a hash, the list holds a prefix, and only the first answer holds the key."""
    user_id = (await admin.post("/admin/users", json=ANN)).json()["id"]

    created = await admin.post(f"/admin/users/{user_id}/tokens", headers={"content-type": "application/json"})
    listed = await admin.get(f"/admin/users/{user_id}/tokens")

    key = created.json()["token"]
    assert created.status_code == 201
    assert key.startswith("vxa_")
    assert {"id", "user_id", "created_at"} <= created.json().keys()
    assert key not in listed.text
    assert [token["key_prefix"] for token in listed.json()] == [key[:12]]


async def test_a_revoked_token_is_gone_for_good(admin: httpx.AsyncClient) -> None:
    """Revoking answers 204, again as well; an unknown token is 404."""
    user_id = (await admin.post("/admin/users", json=ANN)).json()["id"]
    token_id = (await admin.post(f"/admin/users/{user_id}/tokens")).json()["id"]

    answers = [await admin.delete(f"/admin/tokens/{row}") for row in (token_id, token_id, token_id + 1)]

    assert [answer.status_code for answer in answers] == [204, 204, 404]


async def test_a_token_says_what_it_may_and_until_when(admin: httpx.AsyncClient) -> None:
    """Without a word it may make every call of a user, for ever."""
    user_id = (await admin.post("/admin/users", json=ANN)).json()["id"]
    wanted = {"name": "dashboard", "scopes": ["read", "bots", "read"], "expires_at": "2999-01-01T00:00:00Z"}

    plain = (await admin.post(f"/admin/users/{user_id}/tokens")).json()
    limited = (await admin.post(f"/admin/users/{user_id}/tokens", json=wanted)).json()
    listed = (await admin.get(f"/admin/users/{user_id}/tokens")).json()

    assert (plain["scopes"], plain["expires_at"], plain["name"]) == (["user"], None, None)
    assert (limited["scopes"], limited["expires_at"], limited["name"]) == (
        ["bots", "read"],
        "2999-01-01T00:00:00Z",
        "dashboard",
    )
    assert [{**token, "token": None} for token in listed] == [{**token, "token": None} for token in (plain, limited)]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"scopes": ["everything"]}, "scopes.0"),
        ({"scopes": []}, "scopes"),
        ({"scopes": "read"}, "scopes"),
        ({"expires_at": "2000-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "2999-01-01T00:00:00"}, "expires_at"),
        ({"expires_at": "soon"}, "expires_at"),
        ({"expires_at": "9999-12-31T23:59:59-14:00"}, "expires_at"),
        ({"expires_at": "0001-01-01T00:00:00+14:00"}, "expires_at"),
        ({"name": ""}, "name"),
    ],
    ids=str,
)
async def test_a_bad_token_is_refused_by_field(admin: httpx.AsyncClient, body: dict[str, Any], named: str) -> None:
    """422 names the field, and no token is made."""
    user_id = (await admin.post("/admin/users", json=ANN)).json()["id"]

    answer = await admin.post(f"/admin/users/{user_id}/tokens", json=body)

    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(f"{named}: ")
    assert (await admin.get(f"/admin/users/{user_id}/tokens")).json() == []


async def test_meetings_are_counted_with_their_users(admin: httpx.AsyncClient, store: Store) -> None:
    """Newest first, in pages, with whose they are."""
    users = [(await admin.post("/admin/users", json={"email": f"{name}@example.org"})).json() for name in "ab"]
    async with store.transaction() as tables:
        for number, user in enumerate((users[0], users[1], users[0])):
            await tables.meetings.insert(
                user["id"], platform="replay", native_meeting_id=f"meeting-{number}", meeting_url=None
            )

    stats = (await admin.get("/admin/stats/meetings-users", params={"skip": 1, "limit": 1})).json()

    assert stats["total"] == 3
    assert [(item["native_meeting_id"], item["user"]) for item in stats["items"]] == [("meeting-1", users[1])]


@pytest.mark.parametrize(
    "key",
    [
        "",
        "short",
        "supersecretadmintoken",
        "changeme-changeme",
        "vexa-admin-token-123",
        "your_admin_api_key_here",
        "a" * 40,
    ],
)
def test_a_key_that_everybody_knows_is_refused(key: str) -> None:
    """The function does not start, and the message does not repeat the key."""
    with pytest.raises(InvalidMessage, match="ADMIN_API_KEY") as refused:
        AdminSettings.from_env({"DATABASE_URL": "postgresql://vexa@127.0.0.1:9/vexa", "ADMIN_API_KEY": key})

    assert not key or key not in str(refused.value)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/admin/users"),
        ("GET", "/admin/users"),
        ("GET", "/admin/users/1"),
        ("GET", "/admin/users/email/a@b.c"),
        ("PATCH", "/admin/users/1"),
        ("POST", "/admin/users/1/tokens"),
        ("GET", "/admin/users/1/tokens"),
        ("DELETE", "/admin/tokens/1"),
        ("GET", "/admin/stats/meetings-users"),
    ],
)
@pytest.mark.parametrize(("key", "status"), [(None, 401), ("wrong", 403), ("schlüssel", 403)])
async def test_only_the_administrator_gets_in(
    admin: httpx.AsyncClient, method: str, path: str, key: str | None, status: int
) -> None:
    """Every route checks the key before anything else."""
    del admin.headers["x-admin-api-key"]
    headers = {} if key is None else {b"x-admin-api-key": key.encode()}

    answer = await admin.request(method, path, headers=headers, json={})

    assert answer.status_code == status

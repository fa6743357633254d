"""Users and tokens, on real Postgres."""

from typing import Any

import httpx
import pytest

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


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "email"),
        ({"email": "nobody"}, "email"),
        ({"email": "a@b.c\x00"}, "email"),
        ({"email": "a@b.c", "name": "x\x00"}, "name"),
        ({"email": "a@b.c", "max_concurrent_bots": -1}, "max_concurrent_bots"),
        ({"email": "a@b.c", "max_concurrent_bots": "many"}, "max_concurrent_bots"),
    ],
    ids=str,
)
async def test_a_bad_user_is_refused_by_field(admin: httpx.AsyncClient, body: dict[str, Any], named: str) -> None:
    """422 names the field."""
    answer = await admin.post("/admin/users", json=body)

    assert answer.status_code == 422
    assert named in answer.json()["detail"]

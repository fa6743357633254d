"""Every public route against every wrong caller; the rows come from the OpenAPI document, so no route escapes."""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
import jwt
import pytest
import websockets
from tests.waiting import DEADLINE_S

from vexa_events.identity import StreamKind, Task, UserId
from vexa_events.session_token import SessionClaims, issue_session_token
from vexa_events.transcript import Segment, Span, SpanKind, TranscriptCommitted
from vexa_functions.auth.identity import AUDIENCE, HEADER, Principal, sign_identity
from vexa_functions.auth.scopes import ANY_KEY
from vexa_functions.gateway.table import read_document
from vexa_functions.openapi import operations
from vexa_functions.store.tables import Store

ADMIN_KEY = "an administrator key for tests"
SECRET = "the-secret-of-ann"
"""Stands in everything that belongs to the first tenant."""
ROUTES = [
    (method.upper(), path, operation["x-vexa"]["caller"], operation["x-vexa"]["scope"])
    for path, operations_by_method in read_document()["paths"].items()
    for method, operation in operations_by_method.items()
]
ROUTES += [("HEAD", *rest) for method, *rest in ROUTES if method == "GET"]
USER_ROUTES = [(method, path) for method, path, caller, _ in ROUTES if caller == "user"]
SCOPED_ROUTES = [(method, path, scope) for method, path, caller, scope in ROUTES if caller == "user"]
ADMIN_ROUTES = [(method, path) for method, path, caller, _ in ROUTES if caller == "administrator"]
NAMED_ROUTES = [(method, path) for method, path in USER_ROUTES if "{" in path]
BODY_BY_ROUTE = {
    ("POST", "/bots"): {"platform": "replay", "native_meeting_id": SECRET},
    ("PUT", "/bots/{platform}/{native_meeting_id}/config"): {"language": "en"},
    ("PATCH", "/meetings/{platform}/{native_meeting_id}"): {"data": {"name": "taken over"}},
    ("PUT", "/user/webhook"): {"webhook_url": "https://example.org/hook"},
}


@pytest.fixture
async def secret_id(store: Store, make_key: Any) -> int:
    """A meeting of the first tenant with text, and a webhook delivery; the row id that all of them share."""
    await make_key("ann@example.org")
    async with store.transaction() as tables:
        user = await tables.users.by_email("ann@example.org")
        assert user is not None
        meeting = await tables.meetings.insert(
            user.id, platform="replay", native_meeting_id=SECRET, meeting_url=f"https://example.org/{SECRET}"
        )
        hook = f"https://example.org/{SECRET}"
        await tables.webhooks.put(user.id, hook, secret=f"{SECRET}, which signs", keep_secret=False)
        await tables.webhook_deliveries.add(
            user.id,
            fact_id=SECRET,
            event_id=SECRET,
            event_type="meeting.completed",
            meeting_id=meeting.id,
            body=json.dumps({"text": SECRET}),
        )
        await tables.sessions.insert(
            "session", meeting.id, bot_name=SECRET, language=None, task=Task.TRANSCRIBE, passcode=None
        )
        await tables.streams.add("session.0", "session", kind=StreamKind.PARTICIPANT, start_s=0.0)
        await tables.streams.next_epoch("session.0")
        await tables.batches.store(
            TranscriptCommitted(
                meeting_id=meeting.id,
                user_id=user.id,
                session_uid="session",
                stream_uid="session.0",
                epoch=1,
                batch_seq=0,
                from_s=0.0,
                until_s=1.0,
                spans=(Span(from_s=0.0, until_s=1.0, kind=SpanKind.SPEECH),),
                segments=(Segment(seq=0, start_s=0.0, end_s=1.0, text=SECRET),),
            )
        )
    return meeting.id


@pytest.fixture
async def anybody(gateway_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client without any key."""
    async with httpx.AsyncClient(base_url=gateway_url, timeout=20) as client:
        yield client


@pytest.fixture
async def expired(make_key: Any) -> str:
    """A key of the first tenant whose time is over."""
    key: str = await make_key("ann@example.org", expires_at=datetime.now(UTC) - timedelta(seconds=1))
    return key


@pytest.fixture
async def revoked(make_key: Any, store: Store) -> str:
    """A key of the first tenant that was taken back."""
    key: str = await make_key("ann@example.org")
    async with store.transaction() as tables:
        user = await tables.users.by_email("ann@example.org")
        assert user is not None
        await tables.tokens.revoke((await tables.tokens.of_user(user.id))[-1].id)
    return key


async def test_callers_without_a_valid_key_are_refused_everywhere(
    anybody: httpx.AsyncClient, secret_id: int, expired: str, revoked: str
) -> None:
    """None, unknown, expired, revoked, and the administrator's key in the wrong place: 401 or 403, and no data."""
    wrong: dict[str, tuple[dict[str, str], int]] = {
        "none": ({}, 401),
        "empty": ({"x-api-key": ""}, 401),
        "unknown": ({"x-api-key": "vxa_nobody"}, 403),
        "expired": ({"x-api-key": expired}, 403),
        "revoked": ({"x-api-key": revoked}, 403),
        "cut short": ({"x-api-key": revoked[:12]}, 403),
        "administrator": ({"x-admin-api-key": ADMIN_KEY}, 401),
        "administrator as a user": ({"x-api-key": ADMIN_KEY}, 403),
    }

    refusals = {
        (method, path, who): await ask(anybody, method, path, secret_id, headers)
        for method, path in USER_ROUTES
        for who, (headers, _) in wrong.items()
    }

    assert USER_ROUTES
    for (method, path, who), answer in refusals.items():
        assert answer.status_code == wrong[who][1], (method, path, who, answer.text)
        check_refusal(answer)


async def test_only_the_administrator_reaches_the_admin_routes(
    anybody: httpx.AsyncClient, secret_id: int, make_key: Any
) -> None:
    """A user's key opens none of them, in either header."""
    key = await make_key("ann@example.org")
    wrong: list[tuple[dict[str, str], int]] = [
        ({}, 401),
        ({"x-api-key": key}, 401),
        ({"x-admin-api-key": key}, 403),
        ({"x-admin-api-key": ""}, 403),
    ]

    assert ADMIN_ROUTES
    for method, path in ADMIN_ROUTES:
        for headers, status in wrong:
            answer = await ask(anybody, method, path, secret_id, headers)
            assert answer.status_code == status, (method, path, headers, answer.text)
            check_refusal(answer)


async def test_another_tenant_sees_and_changes_nothing(
    anybody: httpx.AsyncClient, secret_id: int, make_key: Any, store: Store
) -> None:
    """The names and ids of somebody else's things lead nowhere."""
    stranger = {"x-api-key": await make_key("bob@example.org")}

    assert NAMED_ROUTES
    for method, path in NAMED_ROUTES:
        answer = await ask(anybody, method, path, secret_id, stranger)
        assert answer.status_code in {404, 409}, (method, path, answer.text)
        check_refusal(answer, named=True)
    for method, path in USER_ROUTES:
        if method == "GET" and "{" not in path:
            answer = await ask(anybody, method, path, secret_id, stranger, query=f"?q={SECRET}")
            listed = answer.text.replace(f'"query":"{SECRET}"', "")
            assert answer.status_code in {200, 404}, (method, path, answer.text)
            assert SECRET not in listed, (method, path)
    async with store.reading() as tables:
        meeting = await tables.meetings.latest(1, "replay", SECRET)
        segments = await tables.transcripts.segments(secret_id)
    assert meeting is not None
    assert (meeting.data, meeting.status.value) == ({}, "requested")
    assert [segment.text for segment in segments] == [SECRET]


async def test_a_key_without_the_scope_is_refused(anybody: httpx.AsyncClient, secret_id: int, make_key: Any) -> None:
    """Its owner's other keys may do it; this one may not."""
    scopes = {scope for _, _, scope in SCOPED_ROUTES if scope} - {ANY_KEY}
    keys = {scope: await make_key("ann@example.org", scope) for scope in scopes | {"nothing"}}

    assert {"read", "bots"} <= scopes
    for method, path, needed in SCOPED_ROUTES:
        for scope, key in keys.items():
            if needed != ANY_KEY and scope not in {needed, "user"}:
                answer = await ask(anybody, method, path, secret_id, {"x-api-key": key})
                assert answer.status_code == 403, (method, path, scope, answer.text)
                check_refusal(answer)


@pytest.mark.parametrize("scopes", [("read",), ("bots",), ("bots", "read"), ("user",)])
async def test_every_key_learns_what_it_may_do(
    anybody: httpx.AsyncClient, make_key: Any, scopes: tuple[str, ...]
) -> None:
    """A client need not try what its key may not do."""
    key = await make_key("ann@example.org", *scopes)

    answer = await anybody.get("/user/key", headers={"x-api-key": key})

    assert answer.status_code == 200, answer.text
    assert answer.json()["scopes"] == list(scopes)
    assert answer.headers["cache-control"] == "no-store"


async def test_the_socket_opens_to_nobody_else(
    gateway_url: str, secret_id: int, make_key: Any, expired: str, revoked: str
) -> None:
    """The live feed is no route of the document: the same callers, by header and in the address."""
    wrong = {
        "": "missing_api_key",
        "vxa_nobody": "invalid_api_key",
        expired: "invalid_api_key",
        revoked: "invalid_api_key",
        ADMIN_KEY: "invalid_api_key",
        await make_key("ann@example.org", "bots"): "invalid_api_key",
    }
    told = {
        (key, at): await hear_all(gateway_url, at, headers)
        for key in wrong
        for at, headers in (("/ws", {"x-api-key": key}), (f"/ws?api_key={quote(key)}", {}))
    }
    stranger = await hear_all(gateway_url, "/ws", {"x-api-key": await make_key("bob@example.org")})

    for (key, at), heard in told.items():
        assert heard == ([{"type": "error", "error": wrong[key]}], 4401), at
    assert stranger[0][0] == {"type": "subscribed", "meetings": []}
    assert stranger[0][1]["error"] == "meeting_not_found"


async def test_functions_refuse_what_did_not_come_through_the_gateway(
    bots: httpx.AsyncClient,
    collector: httpx.AsyncClient,
    webhooks: httpx.AsyncClient,
    secret_id: int,
    make_key: Any,
    signing_key: str,
) -> None:
    """A key is nothing to a function: only the gateway's signature is."""
    functions = {"bots": bots, "collector": collector, "webhooks": webhooks}
    key = await make_key("ann@example.org")
    now, minute = datetime.now(UTC), timedelta(minutes=1)
    signed = {"sub": "1", "scopes": ["user"], "aud": AUDIENCE, "exp": now + minute}
    bot = SessionClaims(sub="session", meeting=secret_id, user=1)
    identities = {
        "missing": {},
        "no signature": {HEADER: "forged"},
        "deep": {HEADER: f"{b64encode(b'[' * 30_000).decode()}.e30.e30"},
        "another name of the header": {"x-vexa-user": "1"},
        "another key": {HEADER: jwt.encode(signed, "k" * 32, algorithm="HS256")},
        "no algorithm": {HEADER: jwt.encode(signed, None, algorithm="none")},
        "another audience": {HEADER: jwt.encode({**signed, "aud": "others"}, signing_key)},
        "expired": {HEADER: jwt.encode({**signed, "exp": now - minute}, signing_key)},
        "without end": {HEADER: jwt.encode({**signed, "exp": None}, signing_key)},
        "a bot's token": {HEADER: issue_session_token(bot, key=signing_key, now=now, lifetime=minute)},
    }
    table = [(name, each) for name, each in operations() if each.caller == "user" and name != "gateway"]

    assert {name for name, _ in table} == set(functions)
    for name, operation in table:
        for what, identity in identities.items():
            headers = {"x-api-key": key, **identity}
            answer = await ask(functions[name], operation.method, operation.path, secret_id, headers)
            assert answer.status_code == 401, (operation.method, operation.path, what, answer.text)
            check_refusal(answer)


async def test_the_administrators_functions_check_the_key_themselves(
    admin: httpx.AsyncClient, dead_letters: httpx.AsyncClient, secret_id: int, signing_key: str
) -> None:
    """Whoever reaches them past the gateway is refused without it, a signed identity or not."""
    functions = {"admin": admin, "dead_letters": dead_letters}
    identity = sign_identity(Principal(user_id=UserId(1), scopes=frozenset({"user"})), key=signing_key)
    table = [(name, each) for name, each in operations() if each.caller == "administrator"]

    assert {name for name, _ in table} == set(functions)
    for client in functions.values():
        del client.headers["x-admin-api-key"]
    for name, operation in table:
        path = operation.path.replace(":path}", "}")
        for headers, status in (({}, 401), ({HEADER: identity}, 401), ({"x-admin-api-key": ADMIN_KEY[:-1]}, 403)):
            answer = await ask(functions[name], operation.method, path, secret_id, headers)
            assert answer.status_code == status, (operation.method, path, headers, answer.text)
            check_refusal(answer)


async def hear_all(url: str, at: str, headers: dict[str, str]) -> tuple[list[Any], int | None]:
    """Ask for the first tenant's meeting; return what is told until the end, or both answers, and the close code."""
    heard: list[Any] = []
    order = {"action": "subscribe", "meetings": [{"platform": "replay", "native_id": SECRET}]}
    async with websockets.connect(url.replace("http", "ws") + at, additional_headers=headers) as socket:
        with suppress(websockets.ConnectionClosed):
            await socket.send(json.dumps(order))
        try:
            async with asyncio.timeout(DEADLINE_S):
                while len(heard) < 2:
                    heard.append(json.loads(await socket.recv()))
        except websockets.ConnectionClosed as closed:
            return heard, closed.rcvd.code if closed.rcvd else None
    return heard, None


async def ask(
    client: httpx.AsyncClient, method: str, path: str, row_id: int, headers: dict[str, str], query: str = ""
) -> httpx.Response:
    """Send a valid request for the first tenant's things."""
    filled = path.format(
        platform="replay", native_meeting_id=SECRET, id=row_id, meeting_id=row_id, email="ann@example.org"
    )
    body = BODY_BY_ROUTE.get((method, path), {} if method in {"POST", "PUT", "PATCH"} else None)
    return await client.request(method, filled + query, headers=headers, json=body)


def check_refusal(answer: httpx.Response, *, named: bool = False) -> None:
    """A refusal is an object with a detail; it repeats at most the name that was asked for. HEAD has no body."""
    if answer.request.method == "HEAD":
        assert answer.content == b""
        return
    assert set(json.loads(answer.text)) == {"detail"}
    if not named:
        assert SECRET not in answer.text
    assert "ann@example.org" not in answer.text
    assert answer.request.url.host == "function" or answer.headers["x-request-id"]

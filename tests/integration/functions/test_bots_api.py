"""What users can do with bots, on real Postgres."""

import asyncio
from collections import Counter
from typing import Any

import httpx
import pytest

from vexa_events.envelope import Event
from vexa_functions.store.tables import Store

STANDUP = {"platform": "replay", "native_meeting_id": "standup"}


async def test_a_bot_is_asked_for_listed_and_stopped(bots: httpx.AsyncClient, user: dict[str, str], sink: Any) -> None:
    """The meeting passes through the states that users read and the Broker is told."""
    created = await bots.post("/bots", json=STANDUP, headers=user)
    listed = (await bots.get("/bots/status", headers=user)).json()["running_bots"]
    stopped = await bots.delete("/bots/replay/standup", headers=user)

    assert (created.status_code, created.json()["status"]) == (201, "requested")
    assert [bot["normalized_status"] for bot in listed] == ["Requested"]
    assert (stopped.status_code, "message" in stopped.json()) == (202, True)
    assert [_fact(event) for event in sink.events] == [
        ("vexa.bot.requested.v1", 0, None),
        ("vexa.bot.stopping.v1", 1, "stopped_by_user"),
    ]


async def test_stopping_twice_is_accepted_and_told_once(
    bots: httpx.AsyncClient, user: dict[str, str], sink: Any
) -> None:
    """A stop is an intent; saying it again changes nothing."""
    await bots.post("/bots", json=STANDUP, headers=user)

    answers = [await bots.delete("/bots/replay/standup", headers=user) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [202, 202]
    assert len(sink.of_type("vexa.bot.stopping.v1")) == 1


@pytest.mark.parametrize(
    ("method", "path"),
    [("DELETE", "/bots/replay/nowhere"), ("PUT", "/bots/replay/nowhere/config")],
)
async def test_a_bot_that_was_never_asked_for_is_not_found(
    bots: httpx.AsyncClient, user: dict[str, str], method: str, path: str
) -> None:
    """404 with a reason a user understands."""
    answer = await bots.request(method, path, headers=user, json={"language": "en"})

    assert (answer.status_code, answer.json()["detail"]) == (404, "you have no meeting replay/nowhere")


async def test_a_second_bot_for_a_running_meeting_is_refused(bots: httpx.AsyncClient, user: dict[str, str]) -> None:
    """409 names the meeting that is in the way."""
    first = await bots.post("/bots", json=STANDUP, headers=user)

    second = await bots.post("/bots", json=STANDUP, headers=user)

    assert second.status_code == 409
    assert str(first.json()["id"]) in second.json()["detail"]


async def test_concurrent_requests_never_exceed_the_limit(bots: httpx.AsyncClient, user: dict[str, str]) -> None:
    """Of twenty requests at once for different meetings, a user with two bots gets two."""
    wanted = [{"platform": "replay", "native_meeting_id": f"meeting-{number}"} for number in range(20)]

    answers = await asyncio.gather(*(bots.post("/bots", json=body, headers=user) for body in wanted))

    assert Counter(answer.status_code for answer in answers) == {201: 2, 403: 18}
    refused = next(answer for answer in answers if answer.status_code == 403)
    assert refused.json()["detail"] == "User has reached the maximum concurrent bot limit (2)."


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"{broken", "not JSON"),
        (b"[]", "body"),
        (b"{}", "platform"),
        (b'{"platform": "replay"}', "native_meeting_id"),
        (b'{"platform": "webex", "native_meeting_id": "1"}', "webex"),
        (b'{"platform": "replay", "native_meeting_id": "../etc"}', "native_meeting_id"),
        (b'{"platform": "replay", "native_meeting_id": "a\\u0000b"}', "NUL"),
        (b'{"platform": "replay", "native_meeting_id": "a", "language": "klingon"}', "language"),
        (b'{"platform": "replay", "native_meeting_id": "a", "task": "sing"}', "task"),
        (b'{"platform": "replay", "native_meeting_id": "a"' + b" " * 1_100_000 + b"}", "limit"),
        (b"[" * 100_000, "nested too deeply"),
        (b"\xff\xfe", "not JSON"),
    ],
    ids=lambda value: None if isinstance(value, bytes) else value,
)
async def test_a_bad_request_names_its_fault_and_stores_nothing(
    bots: httpx.AsyncClient, user: dict[str, str], sink: Any, body: bytes, named: str
) -> None:
    """422 for whatever no retry can heal, 413 where it is the size."""
    answer = await bots.post("/bots", content=body, headers=user)

    assert answer.status_code == (413 if named == "limit" else 422)
    assert named in answer.json()["detail"]
    assert sink.events == []
    assert (await bots.get("/bots/status", headers=user)).json() == {"running_bots": []}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/bots"),
        ("GET", "/bots/status"),
        ("DELETE", "/bots/replay/x"),
        ("PUT", "/bots/replay/x/config"),
        ("POST", "/internal/sessions/x/epochs"),
        ("POST", "/internal/sessions/x/heartbeats"),
        ("POST", "/internal/sessions/x/statuses"),
        ("POST", "/internal/sessions/x/attributions"),
    ],
)
@pytest.mark.parametrize(
    "headers",
    [{}, {"x-vexa-identity": "forged"}, {"authorization": "Bearer forged"}, {"x-user-id": "1"}],
    ids=str,
)
async def test_nobody_gets_past_without_a_signature(
    bots: httpx.AsyncClient, method: str, path: str, headers: dict[str, str]
) -> None:
    """A function called past the gateway believes no header that anyone can set."""
    answer = await bots.request(method, path, headers=headers, json={})

    assert answer.status_code == 401


async def test_a_sink_that_is_down_delays_events_and_loses_none(
    bots: httpx.AsyncClient, user: dict[str, str], sink: Any
) -> None:
    """The outbox keeps what could not be published; the next tick brings it."""
    sink.status = 503
    created = await bots.post("/bots", json=STANDUP, headers=user)
    sink.status = 202

    await bots.post("/internal/tick")

    assert created.status_code == 201
    assert [_fact(event)[0] for event in sink.events] == ["vexa.bot.requested.v1"]


async def test_two_users_in_one_meeting_have_two_meetings(
    bots: httpx.AsyncClient, user: dict[str, str], store: Store, headers_of: Any
) -> None:
    """A platform's id is a lookup for one user, never a key."""
    async with store.transaction() as tables:
        other = await tables.users.insert(email="bob@example.org", name=None, image_url=None, max_concurrent_bots=1)
    assert other is not None

    mine = await bots.post("/bots", json=STANDUP, headers=user)
    theirs = await bots.post("/bots", json=STANDUP, headers=headers_of(other.id))

    assert (mine.status_code, theirs.status_code) == (201, 201)
    assert mine.json()["id"] != theirs.json()["id"]


def _fact(event: Event) -> tuple[str, int, str | None]:
    return event.type, event.data["sequence"], event.data.get("reason")

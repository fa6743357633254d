"""The gateway in front of real functions on real ports."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import websockets
from tests.waiting import DEADLINE_S

from vexa_events.identity import MeetingId
from vexa_events.live import LiveKind, LiveMessage, LiveSegment
from vexa_functions.live_feed import LiveFeed

STANDUP = {"platform": "replay", "native_meeting_id": "standup"}


async def test_one_host_serves_users_and_administrators(api: httpx.AsyncClient, admin: httpx.AsyncClient) -> None:
    """Each prefix reaches its function with its own credential."""
    admin_headers = {"x-admin-api-key": admin.headers["x-admin-api-key"]}

    created = await api.post("/bots", json=STANDUP)
    meetings = await api.get("/meetings")
    transcript = await api.get("/transcripts/replay/standup", params={"meeting_id": created.json()["id"]})
    users = await api.get("/admin/users", params={"limit": 5}, headers=admin_headers)
    letters = await api.get("/admin/dead-letters", headers=admin_headers)

    answers = (created, meetings, transcript, users, letters)
    assert [answer.status_code for answer in answers] == [201, 200, 200, 200, 200]
    assert [meeting["id"] for meeting in meetings.json()["meetings"]] == [created.json()["id"]]
    assert transcript.json()["segments"] == []
    assert [user["email"] for user in users.json()] == ["ann@example.org"]


@pytest.mark.parametrize(("key", "status"), [("", 401), ("vxa_unknown", 403), ("ключ", 403)])
async def test_a_wrong_key_is_refused_with_a_reason(gateway_url: str, key: str, status: int) -> None:
    """401 without a key, 403 for one that is nobody's."""
    async with httpx.AsyncClient(base_url=gateway_url, timeout=DEADLINE_S) as client:
        answer = await client.get("/meetings", headers={b"x-api-key": key.encode()})

    assert answer.status_code == status
    assert "X-API-Key" in answer.json()["detail"]


async def test_a_user_cannot_smuggle_an_identity(api: httpx.AsyncClient) -> None:
    """A header from outside never reaches a function."""
    answer = await api.get("/meetings", headers={"x-vexa-identity": "forged"})

    assert answer.status_code == 200


async def test_a_function_that_is_down_is_503(start_gateway: Any, api_key: str) -> None:
    """Infrastructure is never blamed on the key."""
    async with httpx.AsyncClient(base_url=await start_gateway(), timeout=DEADLINE_S) as client:
        answer = await client.get("/meetings", headers={"x-api-key": api_key})

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")


async def test_internal_routes_are_not_public(api: httpx.AsyncClient) -> None:
    """Callbacks and ticks are reached past the gateway only."""
    answers = [await api.post(path) for path in ("/internal/tick", "/events", "/internal/sessions/x/epochs")]

    assert [answer.status_code for answer in answers] == [404, 404, 404]


async def test_watchers_see_drafts_and_stored_text(
    gateway_url: str, api: httpx.AsyncClient, api_key: str, valkey: Any
) -> None:
    """A subscription carries what is published after it, with ids to resume from."""
    meeting_id = (await api.post("/bots", json=STANDUP)).json()["id"]
    live = LiveFeed(valkey)
    async with websockets.connect(_ws(gateway_url), additional_headers={"x-api-key": api_key}) as socket:
        await _say(socket, action="subscribe", meetings=[{"platform": "replay", "native_id": "standup"}])
        subscribed = await _hear(socket)
        await live.publish(_message(meeting_id, "hel", completed=False))
        await live.publish(_message(meeting_id, "hello", completed=True))
        draft, stored = await _hear(socket), await _hear(socket)
    async with websockets.connect(f"{_ws(gateway_url)}?api_key={api_key}") as socket:
        meeting = [{"platform": "replay", "native_id": "standup"}]
        await _say(socket, action="subscribe", meetings=meeting, since=draft["id"])
        await _hear(socket)
        resumed = await _hear(socket)

    assert subscribed["type"] == "subscribed"
    assert (draft["type"], draft["payload"]["segments"][0]["text"]) == ("transcript.mutable", "hel")
    assert (stored["type"], stored["payload"]["segments"][0]["completed"]) == ("transcript.finalized", True)
    assert resumed == stored


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ("{broken", "invalid_json"),
        ("[]", "invalid_json"),
        ('{"action": "dance"}', "unknown_action"),
        ('{"action": "subscribe"}', "invalid_subscribe_payload"),
        ('{"action": "subscribe", "meetings": [{"platform": "replay"}]}', "invalid_subscribe_payload"),
    ],
)
async def test_a_bad_message_is_answered_and_the_connection_goes_on(
    gateway_url: str, api_key: str, said: str, error: str
) -> None:
    """Watchers are told what was wrong and stay connected."""
    async with websockets.connect(_ws(gateway_url), additional_headers={"x-api-key": api_key}) as socket:
        await socket.send(said)
        answer = await _hear(socket)
        await _say(socket, action="ping")
        pong = await _hear(socket)

    assert answer == {"type": "error", "error": error}
    assert pong == {"type": "pong"}


@pytest.mark.parametrize(("query", "error"), [("", "missing_api_key"), ("?api_key=nobody", "invalid_api_key")])
async def test_a_watcher_without_a_valid_key_is_told_and_closed(gateway_url: str, query: str, error: str) -> None:
    """4401 with the reason before it."""
    async with websockets.connect(_ws(gateway_url) + query) as socket:
        said = await _hear(socket)
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await _hear(socket)

    assert said == {"type": "error", "error": error}
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4401


def _message(meeting_id: MeetingId, text: str, *, completed: bool) -> LiveMessage:
    segment = LiveSegment(
        segment_id="s.0-1-0", stream_uid="s.0", start_s=0.0, end_s=1.0, text=text, completed=completed
    )
    return LiveMessage(
        kind=LiveKind.FINALIZED if completed else LiveKind.MUTABLE,
        meeting_id=meeting_id,
        session_uid="s",
        stream_uid="s.0",
        at=datetime(2026, 1, 1, tzinfo=UTC),
        segments=(segment,),
    )


def _ws(url: str) -> str:
    return url.replace("http://", "ws://") + "/ws"


async def _say(socket: websockets.ClientConnection, **message: Any) -> None:
    await socket.send(json.dumps(message))


async def _hear(socket: websockets.ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(DEADLINE_S):
        heard: dict[str, Any] = json.loads(await socket.recv())
    return heard

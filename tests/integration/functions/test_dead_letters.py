"""The Broker's dead letter sink, on real Postgres."""

import asyncio
import base64
from dataclasses import replace
from typing import Any

import httpx
import pytest
from tests.waiting import until_locked_out

from vexa_events.envelope import Event, encode_binary
from vexa_functions.hosting.metrics import exposition
from vexa_functions.store.tables import Store

EVENT = Event(
    id="s.0:1:7",
    source="/vexa/pool",
    type="vexa.transcript.committed.v1",
    subject="streams/s.0",
    time="2026-01-01T00:00:00+00:00",
    data={"batch_seq": 7},
    extensions={"partitionkey": "s.0", "tenant": "1"},
)
FAILED = {
    "knativeerrordest": "http://collector/events",
    "knativeerrorcode": "422",
    "knativeerrordata": base64.b64encode(b'{"detail": "epoch: too small"}').decode(),
}


async def send(dead_letters: httpx.AsyncClient, event: Event, failure: dict[str, str]) -> httpx.Response:
    headers, body = encode_binary(replace(event, extensions={**event.extensions, **failure}))
    return await dead_letters.post("/", headers=headers, content=body)


async def listed(dead_letters: httpx.AsyncClient, **query: Any) -> list[dict[str, Any]]:
    page: list[dict[str, Any]] = (await dead_letters.get("/admin/dead-letters", params=query)).json()["dead_letters"]
    return page


async def test_a_dead_letter_is_kept_with_its_cause(dead_letters: httpx.AsyncClient) -> None:
    """An administrator reads which subscriber refused what, and what it answered."""
    taken = await send(dead_letters, EVENT, FAILED)

    (letter,) = await listed(dead_letters)
    assert (taken.status_code, taken.content) == (204, b"")
    assert (letter["destination"], letter["status_code"]) == ("http://collector/events", 422)
    assert letter["cause"] == '{"detail": "epoch: too small"}'
    assert (letter["event"]["id"], letter["event"]["extensions"]) == ("s.0:1:7", dict(EVENT.extensions))


async def test_the_same_dead_letter_is_counted_not_repeated(dead_letters: httpx.AsyncClient) -> None:
    """A Broker delivers dead letters at least once too."""
    for _ in range(3):
        await send(dead_letters, EVENT, FAILED)

    assert [letter["times"] for letter in await listed(dead_letters)] == [3]


async def test_the_tick_tells_how_many_wait(dead_letters: httpx.AsyncClient, bots: httpx.AsyncClient) -> None:
    """The function that keeps them may be at zero; the one that ticks is there every minute."""
    await send(dead_letters, EVENT, FAILED)

    await bots.post("/internal/tick")

    waiting = len(await listed(dead_letters, limit=500))
    assert f"\nvexa_dead_letters {waiting}.0\n" in exposition().decode()


async def test_one_event_that_two_subscribers_refused_is_two_letters(dead_letters: httpx.AsyncClient) -> None:
    """Each subscriber's failure has its own cause."""
    await send(dead_letters, EVENT, FAILED)
    await send(dead_letters, EVENT, FAILED | {"knativeerrordest": "http://webhooks/"})

    assert len(await listed(dead_letters)) == 2


async def test_redriving_sends_the_event_as_it_was_made(dead_letters: httpx.AsyncClient, sink: Any) -> None:
    """Consumers know it by its id; what the Broker wrote of the failure stays here."""
    await send(dead_letters, EVENT, FAILED)
    (letter,) = await listed(dead_letters)

    answer = await dead_letters.post(f"/admin/dead-letters/{letter['id']}/redrive")

    assert answer.status_code == 202
    assert sink.events == [EVENT]
    assert await listed(dead_letters) == []
    assert len(await listed(dead_letters, redriven="true")) == 1


async def test_a_redriven_event_that_fails_again_waits_again(dead_letters: httpx.AsyncClient) -> None:
    """Redriving hides a letter only as long as nobody refuses it once more."""
    await send(dead_letters, EVENT, FAILED)
    (letter,) = await listed(dead_letters)
    await dead_letters.post(f"/admin/dead-letters/{letter['id']}/redrive")

    await send(dead_letters, EVENT, FAILED)

    assert [(letter["times"], letter["redriven_at"]) for letter in await listed(dead_letters)] == [(2, None)]


async def test_a_broker_that_is_down_leaves_the_letter_waiting(dead_letters: httpx.AsyncClient, sink: Any) -> None:
    """A failed redrive is told, and nothing is marked."""
    await send(dead_letters, EVENT, FAILED)
    (letter,) = await listed(dead_letters)
    sink.status = 503

    answer = await dead_letters.post(f"/admin/dead-letters/{letter['id']}/redrive")

    assert answer.status_code == 503
    assert len(await listed(dead_letters)) == 1


async def test_letters_are_paged_and_filtered(dead_letters: httpx.AsyncClient) -> None:
    """Newest first; the page says where the next one begins."""
    for number in range(5):
        await send(dead_letters, replace(EVENT, id=f"e{number}"), FAILED)
    await send(dead_letters, replace(EVENT, id="other", type="vexa.bot.failed.v1"), FAILED)

    first = (await dead_letters.get("/admin/dead-letters", params={"limit": 2})).json()
    second = await listed(dead_letters, limit=2, before=first["next_before"])
    filtered = await listed(dead_letters, type="vexa.bot.failed.v1")

    assert [letter["event"]["id"] for letter in first["dead_letters"]] == ["other", "e4"]
    assert [letter["event"]["id"] for letter in second] == ["e3", "e2"]
    assert [letter["event"]["id"] for letter in filtered] == ["other"]


@pytest.mark.parametrize("code", ["", "many", "9" * 50])
async def test_a_failure_without_a_sound_code_is_kept_all_the_same(dead_letters: httpx.AsyncClient, code: str) -> None:
    """Losing a dead letter over its label would be losing it for good."""
    failure = {"knativeerrorcode": code, "knativeerrordata": "not base64!"} if code else {}

    await send(dead_letters, EVENT, failure)

    assert [letter["status_code"] for letter in await listed(dead_letters)] == [None]


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("POST", "/1/redrive")])
async def test_only_the_administrator_sees_them(dead_letters: httpx.AsyncClient, method: str, path: str) -> None:
    """Dead letters hold other people's words."""
    dead_letters.headers["x-admin-api-key"] = "wrong"

    answer = await dead_letters.request(method, f"/admin/dead-letters{path}")

    assert answer.status_code == 403


HOSTILE = {
    "NUL": b'{"meeting_id": 7, "text": "a\\u0000\\"\\\\ \xc3\xa4\\ud83d\\ude00"}',
    "half a character": b'{"meeting_id": 7, "text": "a\\ud800"}',
    "no number of JSON": b'{"meeting_id": 1e999}',
    "no JSON": b"\xff\x00{",
    "too large for an event": b'"' + b"x" * 70_000 + b'"',
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
async def test_the_last_net_takes_anything(dead_letters: httpx.AsyncClient, body: bytes) -> None:
    """What the dead letter sink refuses is lost, so whatever an event holds is kept and listed."""
    headers, _ = encode_binary(replace(EVENT, extensions={**EVENT.extensions, **FAILED}))

    taken = await dead_letters.post("/", headers=headers, content=body)

    assert taken.status_code == 204
    assert [letter["event"]["id"] for letter in await listed(dead_letters)] == ["s.0:1:7"]


async def test_what_is_no_event_at_all_is_kept(dead_letters: httpx.AsyncClient) -> None:
    """Its id is made of its body, so that the same again is counted."""
    for _ in range(2):
        taken = await dead_letters.post("/", headers={"ce-id": "%00" + "i" * 5_000}, content=b"[1")
        nameless = await dead_letters.post("/", content=b"[1")

    assert (taken.status_code, nameless.status_code) == (204, 204)
    assert [(letter["times"], letter["event"]["type"]) for letter in await listed(dead_letters)] == [(2, "unknown")] * 2


async def test_an_event_with_nul_is_sent_again_as_it_was_made(dead_letters: httpx.AsyncClient, sink: Any) -> None:
    """How it is kept does not show in what is redriven."""
    event = replace(EVENT, data={'"\\u0000\x00': ["\x00", "\\", 'ä"\U0001f600\n', 1.5, None], "meeting_id": 7})
    await send(dead_letters, event, FAILED)
    (letter,) = await listed(dead_letters)

    answer = await dead_letters.post(f"/admin/dead-letters/{letter['id']}/redrive")

    assert answer.status_code == 202
    assert sink.events == [event]


async def test_what_no_consumer_could_read_is_not_sent_again(dead_letters: httpx.AsyncClient, sink: Any) -> None:
    """The administrator is told why."""
    headers, _ = encode_binary(EVENT)
    await dead_letters.post("/", headers=headers, content=b"no JSON")
    (letter,) = await listed(dead_letters)

    answer = await dead_letters.post(f"/admin/dead-letters/{letter['id']}/redrive")

    assert (answer.status_code, sink.events) == (409, [])
    assert "not JSON" in answer.json()["detail"]


async def test_a_letter_that_comes_back_before_it_is_marked_waits(dead_letters: httpx.AsyncClient, sink: Any) -> None:
    """A Broker may be quicker to return an event than the redrive is to end."""
    await send(dead_letters, EVENT, FAILED)
    (letter,) = await listed(dead_letters)

    async def come_back(event: Event) -> None:
        await send(dead_letters, event, FAILED)

    sink.on_event = come_back
    await dead_letters.post(f"/admin/dead-letters/{letter['id']}/redrive")

    assert [(letter["times"], letter["redriven_at"]) for letter in await listed(dead_letters)] == [(2, None)]


@pytest.mark.parametrize(("name", "value"), [("type", "\x00"), ("type", ""), ("redriven", "banana")])
async def test_a_filter_that_makes_no_sense_is_named(dead_letters: httpx.AsyncClient, name: str, value: str) -> None:
    """The detail begins with the parameter at fault."""
    answer = await dead_letters.get("/admin/dead-letters", params={name: value})

    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(f"{name}: ")


async def test_no_letter_is_kept_of_a_meeting_that_is_deleted_right_then(
    dead_letters: httpx.AsyncClient, store: Store, postgres_url: str
) -> None:
    """One that comes while the deletion is not committed yet would bring back what was said."""
    async with store.transaction() as tables:
        user = await tables.users.insert(email="ann@example.org", name=None, image_url=None, max_concurrent_bots=1)
        assert user is not None
        meeting = await tables.meetings.insert(user.id, platform="replay", native_meeting_id="talk", meeting_url=None)
    told = replace(EVENT, data={"meeting_id": meeting.id, "text": "a secret"})

    async with store.transaction() as tables:
        await tables.erasure.erase(meeting.id, deleted_mark=b"mark")
        sending = asyncio.create_task(send(dead_letters, told, FAILED))
        await until_locked_out(postgres_url, sending)
    answer = await sending

    assert answer.status_code == 204
    assert await listed(dead_letters) == []

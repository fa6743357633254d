"""Transcripts, meetings and notes as users read and write them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from tests.integration.functions.reader.speaking import STANDUP, Spoken, a_meeting

from vexa_functions.store.tables import Store


async def test_a_transcript_is_read_by_ids_and_by_row(reader: httpx.AsyncClient, spoken: Spoken) -> None:
    """Both answer the same meeting, with its coverage."""
    by_ids = await reader.get(STANDUP)
    by_row = await reader.get(f"/meetings/{spoken.meeting_id}")

    assert by_ids.json() == by_row.json()
    assert [segment["text"] for segment in by_ids.json()["segments"]] == ["hello", "everyone", "shall", "we", "begin"]
    assert by_ids.json()["coverage"]["speech_s"] == 5.0


@pytest.mark.parametrize("limit", [1, 2, 5, 7])
async def test_pages_together_are_the_whole(reader: httpx.AsyncClient, spoken: Spoken, limit: int) -> None:
    """Each segment is on one page, in order, and the last page leads nowhere."""
    whole = (await reader.get(STANDUP)).json()["segments"]

    pages: list[Any] = []
    cursor = None
    while not pages or cursor:
        page = (await reader.get(STANDUP, params={"limit": limit, **({"cursor": cursor} if cursor else {})})).json()
        pages.append(page["segments"])
        cursor = page["next_cursor"]

    assert [segment for page in pages for segment in page] == whole
    assert len(pages) == -(-5 // limit)


async def test_since_leaves_out_what_was_stored_long_before(reader: httpx.AsyncClient, spoken: Spoken) -> None:
    """A reader that polls sees what is new, and a line whose speaker became known."""
    now = datetime.now(UTC)

    recent = await reader.get(STANDUP, params={"since": now.isoformat()})
    none = await reader.get(STANDUP, params={"since": (now + timedelta(minutes=1)).isoformat()})

    assert len(recent.json()["segments"]) == 5
    assert none.json()["segments"] == []


@pytest.mark.parametrize(
    ("accept", "params", "media_type", "begins"),
    [
        ("*/*", {}, "application/json", "{"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", {}, "application/json", "{"),
        ("text/plain", {}, "text/plain; charset=utf-8", "[00:00:00] Maya: hello everyone shall we begin\n"),
        ("text/vtt", {}, "text/vtt; charset=utf-8", "WEBVTT\n"),
        ("*/*", {"format": "srt"}, "application/x-subrip", "1\n00:00:00,100 --> 00:00:00,900\nMaya: hello\n"),
        ("application/json", {"format": "md"}, "text/markdown; charset=utf-8", "# replay standup\n"),
    ],
)
async def test_a_transcript_comes_in_the_form_that_is_asked_for(
    reader: httpx.AsyncClient, spoken: Spoken, accept: str, params: dict[str, str], media_type: str, begins: str
) -> None:
    """The query goes before the Accept header; whoever asks for nothing gets JSON."""
    answer = await reader.get(STANDUP, headers={"accept": accept}, params=params)

    assert (answer.status_code, answer.headers["content-type"]) == (200, media_type)
    assert answer.text.startswith(begins)


@pytest.mark.parametrize(
    ("path", "params", "named"),
    [
        (STANDUP, {"format": "pdf"}, "format"),
        (STANDUP, {"format": "srt", "limit": "1"}, "format"),
        (STANDUP, {"limit": "0"}, "limit"),
        (STANDUP, {"limit": "many"}, "limit"),
        (STANDUP, {"cursor": "x"}, "cursor"),
        (STANDUP, {"cursor": ""}, "cursor"),
        (STANDUP, {"cursor": "a\x00-1-1"}, "cursor"),
        (STANDUP, {"since": "yesterday"}, "since"),
        (STANDUP, {"since": "2026-01-31T12:00:00"}, "since"),
        (STANDUP, {"since": "0001-01-01T00:00:00Z"}, "since"),
        (STANDUP, {"since": "0001-01-01T00:00:00+14:00"}, "since"),
        (STANDUP, {"since": "9999-12-31T23:59:59-14:00"}, "since"),
        (STANDUP, {"meeting_id": "x"}, "meeting_id"),
        ("/transcripts/replay/%00", {}, "native_meeting_id"),
        ("/transcripts/" + "x" * 300 + "/standup", {}, "platform"),
        ("/transcripts", {}, "q"),
        ("/transcripts", {"q": ""}, "q"),
        ("/transcripts", {"q": "x" * 201}, "q"),
        ("/transcripts", {"q": "a\x00"}, "q"),
        ("/transcripts", {"q": "a", "limit": "101"}, "limit"),
        ("/meetings", {"status": "asleep"}, "status"),
        ("/meetings", {"limit": "-1"}, "limit"),
        ("/meetings", {"offset": "9" * 30}, "offset"),
        ("/meetings", {"platform": "\x00"}, "platform"),
    ],
    ids=str,
)
async def test_a_bad_question_is_refused_by_field(
    reader: httpx.AsyncClient, spoken: Spoken, path: str, params: dict[str, str], named: str
) -> None:
    """422 names what was wrong."""
    answer = await reader.get(path, params=params)

    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(named)


async def test_meetings_are_listed_whole_or_in_part(reader: httpx.AsyncClient, store: Store, ann_id: int) -> None:
    """Unpaged by default, newest first; filters and pages where they are asked for."""
    ids = [(await a_meeting(store, ann_id, name)).meeting_id for name in "abcd"]
    await Spoken(store=store, user_id=ann_id, meeting_id=ids[0], session_uid=f"session{ids[0]}").end()

    async def listed(**params: Any) -> list[int]:
        return [meeting["id"] for meeting in (await reader.get("/meetings", params=params)).json()["meetings"]]

    assert await listed() == ids[::-1]
    assert await listed(limit=2, offset=1) == [ids[2], ids[1]]
    assert await listed(status="completed") == [ids[0]]
    assert await listed(platform="zoom") == []


async def test_nobody_reads_what_is_not_theirs(
    collector: httpx.AsyncClient, spoken: Spoken, bob: dict[str, str]
) -> None:
    """Another user finds nothing, by ids, by row, by words, and changes nothing."""
    path = "/meetings/replay/standup"
    refused = [
        await collector.get(STANDUP, headers=bob),
        await collector.get(f"/meetings/{spoken.meeting_id}", headers=bob),
        await collector.patch(path, json={"data": {"name": "mine"}}, headers=bob),
        await collector.delete(path, headers=bob),
        await collector.delete(path, params={"meeting_id": spoken.meeting_id}, headers=bob),
    ]
    found = await collector.get("/transcripts", params={"q": "hello"}, headers=bob)
    listed = await collector.get("/meetings", headers=bob)

    assert [answer.status_code for answer in refused] == [404] * 5
    assert found.json()["found"] == listed.json()["meetings"] == []


async def test_notes_are_merged_and_cleared(reader: httpx.AsyncClient, spoken: Spoken) -> None:
    """Absent keys stay, null ones go."""
    path = "/meetings/replay/standup"
    await reader.patch(path, json={"data": {"name": "Standup", "notes": "long"}})

    changed = await reader.patch(path, json={"data": {"notes": None, "participants": ["Ann"], "languages": ["en-GB"]}})

    assert changed.json()["data"] == {"name": "Standup", "participants": ["Ann"], "languages": ["en-GB"]}
    assert (await reader.get("/meetings")).json()["meetings"][0]["data"]["name"] == "Standup"


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"{}", "data"),
        (b'{"data": []}', "data"),
        (b'{"data": {"owner": 1}}', "data.owner"),
        (b'{"data": {"name": "a\\u0000b"}}', "data.name"),
        (b'{"data": {"name": "a\\ud800b"}}', "data.name"),
        (b'{"data": {"name": 7}}', "data.name"),
        (b'{"data": {"participants": "Ann"}}', "data.participants"),
        (b'{"data": {"participants": [""]}}', "data.participants.0"),
        (b'{"data": {"languages": ["klingon!"]}}', "data.languages.0"),
        (b'{"data": {"notes": "' + b"x" * 16_385 + b'"}}', "data.notes"),
        (b'{"data": {"name": "a", "name": "b"}}', "name: is given twice"),
        (b'{"data": {"name": NaN}}', "body"),
        (b'{"data": ' + b"[" * 100_000, "body"),
        (b'{"data": {"name": "\xff"}}', "body"),
    ],
    ids=lambda value: None if isinstance(value, bytes) else value,
)
async def test_a_bad_note_is_refused_by_field(
    reader: httpx.AsyncClient, spoken: Spoken, body: bytes, named: str
) -> None:
    """422 names the key, and nothing is written."""
    answer = await reader.patch("/meetings/replay/standup", content=body)

    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(named)
    assert (await reader.get("/meetings")).json()["meetings"][0]["data"] == {}


async def test_who_spoke_is_noted_at_the_end_unless_the_user_did(reader: httpx.AsyncClient, spoken: Spoken) -> None:
    """Participants and languages are collected once every stream is stored."""
    await reader.patch("/meetings/replay/standup", json={"data": {"languages": ["de"]}})
    await spoken.end()

    await reader.post("/internal/tick")

    data = (await reader.get("/meetings")).json()["meetings"][0]["data"]
    assert data == {"participants": ["Maya"], "languages": ["de"], "reason": "stopped", "evidence": "Ann said so"}

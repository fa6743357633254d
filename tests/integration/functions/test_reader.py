"""Transcripts and meetings as users read, search, annotate and delete them, on real Postgres."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest

from vexa_events.callbacks import Attribution
from vexa_events.envelope import Event, encode_binary
from vexa_events.identity import BotStatus, StreamKind, Task
from vexa_events.live import feed_key, stored_key
from vexa_events.registry import committed_event
from vexa_events.transcript import Segment, Span, SpanKind, TranscriptCommitted, Word
from vexa_functions.store.tables import Store

AT = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
STANDUP = "/transcripts/replay/standup"


@dataclass
class Spoken:
    """A meeting in the database whose lines are a second each."""

    store: Store
    user_id: int
    meeting_id: int
    session_uid: str

    @property
    def stream_uid(self) -> str:
        return f"{self.session_uid}.0"

    def batch(self, seq: int, text: str | None, *, kind: SpanKind = SpanKind.SPEECH) -> TranscriptCommitted:
        from_s, until_s = float(seq), float(seq + 1)
        word = text and Word(text=text, start_s=from_s + 0.1, end_s=until_s - 0.1)
        segment = word and Segment(
            seq=seq, start_s=word.start_s, end_s=word.end_s, text=word.text, language="en", words=(word,)
        )
        reason = "overload" if kind is SpanKind.MISSING else None
        return TranscriptCommitted(
            meeting_id=self.meeting_id,
            user_id=self.user_id,
            session_uid=self.session_uid,
            stream_uid=self.stream_uid,
            epoch=1,
            batch_seq=seq,
            from_s=from_s,
            until_s=until_s,
            spans=(Span(from_s=from_s, until_s=until_s, kind=kind, reason=reason),),
            segments=(segment,) if segment else (),
        )

    async def say(self, *texts: str, speaker: str = "Maya") -> None:
        """Store a line after another, and who says them."""
        async with self.store.transaction() as tables:
            await tables.streams.add(self.stream_uid, self.session_uid, kind=StreamKind.PARTICIPANT, start_s=0.0)
            await tables.streams.next_epoch(self.stream_uid)
            for seq, text in enumerate(texts):
                await tables.batches.store(self.batch(seq, text))
            await tables.streams.advance(self.stream_uid, stored_until_s=len(texts), next_batch_seq=len(texts))
            attribution = Attribution(stream_uid=self.stream_uid, speaker=speaker, revision=1, evidence="name tag")
            await tables.streams.attribute(self.session_uid, attribution)

    async def end(self) -> None:
        async with self.store.transaction() as tables:
            session = await tables.sessions.lock(self.session_uid)
            assert session is not None
            why = {"reason": "stopped", "evidence": "Ann said so"}
            await tables.sessions.enter(session, BotStatus.COMPLETED, at=AT, **why)
            await tables.meetings.set_status(self.meeting_id, BotStatus.COMPLETED, at=AT, **why)


async def a_meeting(store: Store, user_id: int, name: str = "standup", *, url: str | None = None) -> Spoken:
    """Write a meeting with its session."""
    async with store.transaction() as tables:
        meeting = await tables.meetings.insert(user_id, platform="replay", native_meeting_id=name, meeting_url=url)
        uid = f"session{meeting.id}"
        await tables.sessions.insert(
            uid, meeting.id, bot_name="Ann's bot", language=None, task=Task.TRANSCRIBE, passcode="secret"
        )
    return Spoken(store=store, user_id=user_id, meeting_id=meeting.id, session_uid=uid)


@pytest.fixture
async def ann_id(store: Store, user: dict[str, str]) -> int:
    """The user that `user` proves."""
    async with store.reading() as tables:
        ann = await tables.users.by_email("ann@example.org")
    assert ann is not None
    return ann.id


@pytest.fixture
async def spoken(store: Store, ann_id: int) -> Spoken:
    """A meeting with five lines."""
    meeting = await a_meeting(store, ann_id)
    await meeting.say("hello", "everyone", "shall", "we", "begin")
    return meeting


@pytest.fixture
async def bob(store: Store, headers_of: Any) -> dict[str, str]:
    """Headers of another user."""
    async with store.transaction() as tables:
        created = await tables.users.insert(email="bob@example.org", name=None, image_url=None, max_concurrent_bots=1)
    assert created is not None
    headers: dict[str, str] = headers_of(created.id)
    return headers


@pytest.fixture
async def reader(collector: httpx.AsyncClient, user: dict[str, str]) -> httpx.AsyncClient:
    """The collector, called by its user."""
    collector.headers.update(user)
    return collector


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


async def test_a_search_finds_words_in_any_meeting_and_marks_them(
    reader: httpx.AsyncClient, store: Store, ann_id: int
) -> None:
    """The newest meeting comes first, and the pieces of the text put together are the text."""
    for name, text in (("one", "The budget is fine"), ("two", "No BUDGET, <b>no</b> party")):
        await (await a_meeting(store, ann_id, name)).say(text)

    answer = (await reader.get("/transcripts", params={"q": "budget"})).json()

    assert [found["native_meeting_id"] for found in answer["found"]] == ["two", "one"]
    assert [piece["text"] for piece in answer["found"][0]["highlight"] if piece["match"]] == ["BUDGET"]
    assert "".join(piece["text"] for piece in answer["found"][0]["highlight"]) == "No BUDGET, <b>no</b> party"
    assert answer["has_more"] is False


@pytest.mark.parametrize(
    ("text", "query", "marked"),
    [
        ("ok", "ok", ["ok"]),
        ("我们明天讨论预算", "预算", ["预算"]),
        ("明日の会議について", "会議", ["会議"]),
        ("Wir haben schöne Grüße", "grüße", ["Grüße"]),
        ("a new house and a new garden", '"new house" -boat', ["new", "house"]),
        ("a new house and a boat", '"new house" -boat', None),
        ("a house that is new", '"new house"', None),
    ],
)
async def test_a_search_favours_no_language(
    reader: httpx.AsyncClient, store: Store, ann_id: int, text: str, query: str, marked: Sequence[str] | None
) -> None:
    """Short words and scripts without spaces are found like any other."""
    await (await a_meeting(store, ann_id)).say(text)

    found = (await reader.get("/transcripts", params={"q": query})).json()["found"]

    if marked is None:
        assert found == []
    else:
        assert set(marked) <= {piece["text"] for piece in found[0]["highlight"] if piece["match"]}


async def test_a_search_comes_in_pages(reader: httpx.AsyncClient, store: Store, ann_id: int) -> None:
    """The last page says that it is the last."""
    await (await a_meeting(store, ann_id)).say(*["again"] * 3)

    first = (await reader.get("/transcripts", params={"q": "again", "limit": 2})).json()
    second = (await reader.get("/transcripts", params={"q": "again", "limit": 2, "offset": 2})).json()

    assert (len(first["found"]), first["has_more"], len(second["found"]), second["has_more"]) == (2, True, 1, False)


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


async def test_a_meeting_that_has_not_ended_is_not_deleted(reader: httpx.AsyncClient, spoken: Spoken) -> None:
    """409 says what to do first."""
    answer = await reader.delete("/meetings/replay/standup")

    assert (answer.status_code, "stop its bot first" in answer.json()["detail"]) == (409, True)


async def test_a_deleted_meeting_leaves_no_word_and_no_name(
    reader: httpx.AsyncClient, spoken: Spoken, store: Store, valkey: Any, postgres_url: str
) -> None:
    """Text, speakers, ids, passcode, notes and the live feed are gone; the row and its times stay."""
    await reader.patch("/meetings/replay/standup", json={"data": {"name": "Salaries"}})
    await spoken.end()
    await reader.post("/internal/tick")
    async with store.transaction() as tables:
        await tables.webhook_deliveries.add(
            spoken.user_id, fact_id="f", event_id="e", event_type="t", meeting_id=spoken.meeting_id, body="standup"
        )
    await valkey.xadd(feed_key(spoken.meeting_id), {"message": "hello"})

    deleted = await reader.delete("/meetings/replay/standup")

    assert (deleted.status_code, deleted.json()["message"]) == (
        200,
        f"Meeting {spoken.meeting_id} is deleted: its transcript is erased.",
    )
    everything = await _dump(postgres_url)
    left = [
        secret for secret in ("everyone", "Maya", "standup", "secret", "Salaries", "said so") if secret in everything
    ]
    assert left == []
    assert await valkey.exists(feed_key(spoken.meeting_id)) == 0
    async with store.reading() as tables:
        assert await tables.meetings.count() == 1
    assert (await reader.get(STANDUP)).status_code == 404
    assert (await reader.get(f"/meetings/{spoken.meeting_id}")).status_code == 404
    assert (await reader.get("/meetings")).json() == {"meetings": []}


async def test_deleting_again_changes_nothing_and_reaches_no_older_meeting(
    reader: httpx.AsyncClient, store: Store, ann_id: int
) -> None:
    """A request that is sent twice deletes once; older meetings with the same ids are named by their row."""
    older = await a_meeting(store, ann_id)
    await older.say("kept")
    await older.end()
    newer = await a_meeting(store, ann_id)
    await newer.end()

    answers = [await reader.delete("/meetings/replay/standup") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()
    assert [segment["text"] for segment in (await reader.get(STANDUP)).json()["segments"]] == ["kept"]
    named = await reader.delete("/meetings/replay/standup", params={"meeting_id": older.meeting_id})
    assert named.status_code == 200
    assert (await reader.get("/meetings")).json() == {"meetings": []}


async def test_text_that_comes_after_the_deletion_is_let_go(
    reader: httpx.AsyncClient, spoken: Spoken, valkey: Any, postgres_url: str
) -> None:
    """The batch is acknowledged, so that its worker forgets it, and is neither stored nor shown nor kept aside."""
    await spoken.end()
    await reader.delete("/meetings/replay/standup")
    headers, body = encode_binary(committed_event(spoken.batch(5, "afterwards")))

    answer = await reader.post("/events", headers=headers, content=body)

    assert answer.status_code == 204
    assert "afterwards" not in await _dump(postgres_url)
    assert await valkey.exists(feed_key(spoken.meeting_id)) == 0
    assert '"until_s":6.0' in await valkey.get(stored_key(spoken.stream_uid))


async def test_text_that_comes_during_the_deletion_is_let_go(
    reader: httpx.AsyncClient, spoken: Spoken, postgres_url: str
) -> None:
    """A batch is stored before and erased, or finds the meeting deleted; whichever comes first, no word stays."""
    await spoken.end()
    sent = [encode_binary(committed_event(spoken.batch(5 + number, f"word{number}"))) for number in range(12)]
    posts = [reader.post("/events", headers=headers, content=body) for headers, body in sent]

    answers = await asyncio.gather(*posts[:6], reader.delete("/meetings/replay/standup"), *posts[6:])

    assert [answer.status_code for answer in answers] == [204] * 6 + [200] + [204] * 6
    left = await _dump(postgres_url)
    assert [number for number in range(12) if f"word{number}" in left] == []


async def test_text_that_was_given_up_after_the_deletion_is_let_go(
    reader: httpx.AsyncClient, spoken: Spoken, dead_letters: httpx.AsyncClient, postgres_url: str
) -> None:
    """A dead letter may come minutes after its event was stored by another delivery."""
    await spoken.end()
    await reader.delete("/meetings/replay/standup")
    headers, body = encode_binary(committed_event(spoken.batch(5, "afterwards")))

    answer = await dead_letters.post("/", headers=headers, content=body)

    assert answer.status_code == 204
    assert "afterwards" not in await _dump(postgres_url)


async def test_an_event_that_nobody_has_taken_yet_goes_with_its_meeting(
    reader: httpx.AsyncClient, spoken: Spoken, store: Store, postgres_url: str
) -> None:
    """Published later it would be kept for another week, ids and all."""
    await spoken.end()
    async with store.transaction() as tables:
        await tables.outbox.add(
            Event(
                id="e",
                source="/vexa/bots",
                type="vexa.bot.completed.v1",
                data={"meeting_id": spoken.meeting_id, "native_meeting_id": "standup"},
            )
        )

    await reader.delete("/meetings/replay/standup")

    assert "standup" not in await _dump(postgres_url)


async def test_a_name_that_is_learnt_after_the_deletion_is_let_go(
    reader: httpx.AsyncClient, spoken: Spoken, store: Store, postgres_url: str
) -> None:
    """Nobody is named in a meeting that was deleted."""
    await spoken.end()
    await reader.delete("/meetings/replay/standup")
    late = Attribution(stream_uid=spoken.stream_uid, speaker="Zoë", revision=2, evidence="Zoë's tile")

    async with store.transaction() as tables:
        is_new = await tables.streams.attribute(spoken.session_uid, late)

    assert not is_new
    assert "Zoë" not in await _dump(postgres_url)


async def test_who_spoke_is_noted_at_the_end_unless_the_user_did(reader: httpx.AsyncClient, spoken: Spoken) -> None:
    """Participants and languages are collected once every stream is stored."""
    await reader.patch("/meetings/replay/standup", json={"data": {"languages": ["de"]}})
    await spoken.end()

    await reader.post("/internal/tick")

    data = (await reader.get("/meetings")).json()["meetings"][0]["data"]
    assert data == {"participants": ["Maya"], "languages": ["de"], "reason": "stopped", "evidence": "Ann said so"}


async def _dump(postgres_url: str) -> str:
    """Write out every row of every table."""

    connection = await asyncpg.connect(postgres_url)
    try:
        names = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        rows = [
            row[0] for name in names for row in await connection.fetch(f"SELECT t::text FROM {name['tablename']} t")
        ]
    finally:
        await connection.close()
    return "\n".join(rows)

"""Mixed streams: whose words are whose, from hints that come before, with or after the text, on real Postgres."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import asyncpg
import httpx
import pytest
import redis.asyncio as redis

from vexa_events.callbacks import Attribution, OpenEpoch, SpeakerHints
from vexa_events.envelope import encode_binary
from vexa_events.identity import StreamKind
from vexa_events.lifecycle import SpeakerHint
from vexa_events.live import FIELD, LiveKind, LiveMessage, feed_key
from vexa_events.registry import SPEAKER_HINTED, committed_event
from vexa_events.session_token import SessionClaims, issue_session_token
from vexa_events.transcript import Segment, Span, SpanKind, TranscriptCommitted, Word
from vexa_functions.store.tables import Store

if TYPE_CHECKING:
    from .conftest import Sink

STANDUP = "/transcripts/replay/standup"
TALK = "shall we begin yes please do"
"""Half a second a word."""
JOE, NINA = (0, "Joe", 0.0, 1.5), (1, "Nina", 1.5, 3.0)
CUT = [("Joe", "shall we begin"), ("Nina", "yes please do")]
Call = Callable[[str, dict[str, Any]], Awaitable[httpx.Response]]


@dataclass
class Mixed:
    """A running session with one mixed stream, and the means to speak as its bot, its worker and its user."""

    call: Call
    collector: httpx.AsyncClient
    claims: SessionClaims
    sink: "Sink"
    valkey: "redis.Redis"

    @property
    def stream_uid(self) -> str:
        return f"{self.claims.session_uid}.1"

    async def say(self, text: str = TALK, *, seq: int = 0, kind: StreamKind = StreamKind.MIXED) -> None:
        """Store a segment of a batch of its own; batch `seq` covers ten seconds."""
        at_s = seq * 10.0
        if seq == 0:
            wanted = OpenEpoch(stream_uid=self.stream_uid, kind=kind, start_s=0.0)
            await self.call("epochs", wanted.model_dump(mode="json"))
            attribution = Attribution(stream_uid=self.stream_uid, speaker="Speaker A", revision=1, evidence="a mix")
            await self.call("attributions", attribution.model_dump(mode="json"))
        words = tuple(
            Word(text=word, start_s=at_s + number / 2, end_s=at_s + number / 2 + 0.5)
            for number, word in enumerate(text.split())
        )
        segment = Segment(seq=seq, start_s=at_s, end_s=words[-1].end_s, text=text, language="en", words=words)
        batch = TranscriptCommitted(
            meeting_id=self.claims.meeting_id,
            user_id=self.claims.user_id,
            session_uid=self.claims.session_uid,
            stream_uid=self.stream_uid,
            epoch=1,
            batch_seq=seq,
            from_s=at_s,
            until_s=at_s + 10.0,
            spans=(Span(from_s=at_s, until_s=at_s + 10.0, kind=SpanKind.SPEECH),),
            segments=(segment,),
        )
        headers, body = encode_binary(committed_event(batch))
        assert (await self.collector.post("/events", headers=headers, content=body)).status_code == 204

    async def hint(self, *hints: tuple[int, str, float, float]) -> None:
        """Tell who was shown as speaking, and hand on what was published about it."""
        told = SpeakerHints(
            evidence="a coloured frame",
            hints=tuple(
                SpeakerHint(seq=seq, speaker=speaker, from_s=from_s, until_s=until_s)
                for seq, speaker, from_s, until_s in hints
            ),
        )
        published = len(self.sink.events)
        assert (await self.call("hints", told.model_dump(mode="json"))).status_code == 204
        for event in self.sink.events[published:]:
            headers, body = encode_binary(event)
            assert (await self.collector.post("/events", headers=headers, content=body)).status_code == 204

    async def segments(self, **window: Any) -> list[dict[str, Any]]:
        read: list[dict[str, Any]] = (await self.collector.get(STANDUP, params=window)).json()["segments"]
        return read

    async def said(self) -> list[tuple[str, str]]:
        return [(segment["speaker"], segment["text"]) for segment in await self.segments()]

    async def live(self) -> LiveMessage:
        """Return the last words of the live feed."""
        entries: Any = await self.valkey.xrevrange(feed_key(self.claims.meeting_id))
        messages = [LiveMessage.model_validate_json(fields[FIELD]) for _, fields in entries]
        return next(message for message in messages if message.kind is LiveKind.FINALIZED)

    async def end(self) -> None:
        await self.call("statuses", {"status": "joining", "at": "2030-01-01T10:00:00Z"})
        await self.call("statuses", {"status": "failed", "at": "2030-01-01T10:00:00Z", "reason": "page_lost"})
        await self.collector.post("/internal/tick")


@pytest.fixture
async def mixed(
    bots: httpx.AsyncClient,
    collector: httpx.AsyncClient,
    user: dict[str, str],
    signing_key: str,
    sink: "Sink",
    valkey: "redis.Redis",
) -> Mixed:
    """A meeting whose bot was just asked for; the collector is called by its user."""
    created = (
        await bots.post("/bots", json={"platform": "replay", "native_meeting_id": "standup"}, headers=user)
    ).json()
    running = (await bots.get("/bots/status", headers=user)).json()["running_bots"][0]
    fields = {"sub": running["container_name"], "meeting": created["id"], "user": created["user_id"]}
    claims = SessionClaims.model_validate(fields)
    token = issue_session_token(claims, key=signing_key, now=datetime.now(UTC), lifetime=timedelta(hours=1))

    async def call(what: str, body: dict[str, Any]) -> httpx.Response:
        path = f"/internal/sessions/{claims.session_uid}/{what}"
        return await bots.post(path, json=body, headers={"authorization": f"Bearer {token}"})

    collector.headers.update(user)
    return Mixed(call=call, collector=collector, claims=claims, sink=sink, valkey=valkey)


@pytest.mark.parametrize("order", ["before", "after", "around"])
async def test_words_stand_under_whoever_was_shown_as_speaking(mixed: Mixed, order: str) -> None:
    """Whether the hints come before the text, long after it, or on both sides of it."""
    if order != "after":
        await mixed.hint(JOE)
    if order == "before":
        await mixed.hint(NINA)
    await mixed.say()
    if order != "before":
        await mixed.hint(JOE, NINA)

    joe, nina = await mixed.segments()

    assert [(each["speaker"], each["text"]) for each in (joe, nina)] == CUT
    assert nina["segment_id"] == f"{joe['segment_id']}.3", "the first part keeps the id of the whole"
    assert (joe["start"], joe["end"], nina["start"], nina["end"]) == (0.0, 1.5, 1.5, 3.0)
    assert joe["mixed"] is nina["mixed"] is True
    shown = await mixed.live()
    assert [(each.speaker, each.text, each.mixed) for each in shown.segments] == [(*each, True) for each in CUT]


async def test_the_same_hints_again_change_nothing(mixed: Mixed) -> None:
    """A bot that got no answer tells them again, alone or with others."""
    await mixed.say()
    await mixed.hint(JOE, NINA)
    before = await mixed.segments()
    published = len(mixed.sink.of_type(SPEAKER_HINTED))

    await mixed.hint(JOE)
    await mixed.hint(JOE, (1, "Ken", 0.0, 9.0))

    assert await mixed.segments() == before
    assert len(mixed.sink.of_type(SPEAKER_HINTED)) == published


async def test_what_nobody_or_more_than_one_was_shown_for_stays_with_the_streams_own_name(mixed: Mixed) -> None:
    """And the revision rises with each hint, so that a reader who keeps the higher one ends with the last."""
    await mixed.say()
    unnamed = await mixed.segments()
    await mixed.hint((0, "Joe", 0.0, 0.75))
    known = await mixed.segments()
    await mixed.hint((1, "Nina", 0.55, 0.75))

    assert [(each["speaker"], each["text"]) for each in unnamed] == [("Speaker A", TALK)]
    assert [(each["speaker"], each["text"]) for each in known] == [
        ("Joe", "shall we"),
        ("Speaker A", "begin yes please do"),
    ]
    assert await mixed.said() == [("Joe", "shall"), ("Speaker A", "we begin yes please do")]
    revisions = [unnamed[0]["revision"], known[0]["revision"], (await mixed.segments())[0]["revision"]]
    assert revisions == sorted(set(revisions))


async def test_hints_are_no_concern_of_a_stream_that_is_one_persons(mixed: Mixed) -> None:
    """Its speaker belongs to the stream."""
    await mixed.say(kind=StreamKind.PARTICIPANT)
    await mixed.hint(JOE, NINA)

    (segment,) = await mixed.segments()

    assert (segment["speaker"], segment["mixed"], segment["revision"]) == ("Speaker A", False, 1)


FORMS = {
    "txt": ["[00:00:00] Joe: shall we begin", "[00:00:01] Nina: yes please do"],
    "md": ["**Joe** [00:00:00]  \nshall we begin", "**Nina** [00:00:01]  \nyes please do"],
    "vtt": ["00:00:00.000 --> 00:00:01.500\n<v Joe>shall we begin", "<v Nina>yes please do"],
    "srt": ["1\n00:00:00,000 --> 00:00:01,500\nJoe: shall we begin", "Nina: yes please do"],
}


async def test_every_form_has_each_speakers_words_apart(mixed: Mixed) -> None:
    """Each of them a turn or a cue of their own."""
    await mixed.say()
    await mixed.hint(JOE, NINA)

    texts = {form: (await mixed.collector.get(STANDUP, params={"format": form})).text for form in FORMS}

    places = {form: [texts[form].find(line) for line in lines] for form, lines in FORMS.items()}
    assert {form: -1 not in found and found == sorted(found) for form, found in places.items()} == dict.fromkeys(
        FORMS, True
    )


async def test_pages_count_segments_and_never_tear_one(mixed: Mixed) -> None:
    """The parts of a segment come together, whatever the limit."""
    for seq in range(3):
        await mixed.say(seq=seq)
        at_s = 10.0 * seq
        await mixed.hint((2 * seq, "Joe", at_s, at_s + 1.5), (2 * seq + 1, "Nina", at_s + 1.5, at_s + 3.0))
    pages: list[list[str]] = []
    cursor = None
    while cursor or not pages:
        window = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await mixed.collector.get(STANDUP, params=window)).json()
        pages.append([segment["segment_id"] for segment in page["segments"]])
        cursor = page["next_cursor"]

    assert [len(page) for page in pages] == [4, 2]
    assert [uid for page in pages for uid in page] == [each["segment_id"] for each in await mixed.segments()]


async def test_since_brings_again_what_a_hint_has_named(mixed: Mixed, postgres_url: str) -> None:
    """As it does with a name that is learnt late."""
    await mixed.say()
    await mixed.say(seq=1)
    connection = await asyncpg.connect(postgres_url)
    await connection.execute("UPDATE segments SET created_at = created_at - interval '1 hour'")
    await connection.execute("UPDATE attributions SET at = at - interval '1 hour'")
    await connection.close()
    now = datetime.now(UTC).isoformat()
    before = await mixed.segments(since=now)

    await mixed.hint(JOE)

    assert before == []
    assert [each["speaker"] for each in await mixed.segments(since=now)] == ["Joe", "Speaker A"]


@pytest.mark.parametrize(
    ("query", "speaker", "marked"),
    [("begin", "Joe", ["begin"]), ("please", "Nina", ["please"]), ("begin please", "Joe", ["begin"])],
)
async def test_a_search_finds_the_part_that_has_the_word(
    mixed: Mixed, query: str, speaker: str, marked: list[str]
) -> None:
    """With the one who said it, or who said the first of several."""
    await mixed.say()
    await mixed.hint(JOE, NINA)

    (found,) = (await mixed.collector.get("/transcripts", params={"q": query})).json()["found"]

    assert found["segment"]["speaker"] == speaker
    assert [piece["text"] for piece in found["highlight"] if piece["match"]] == marked
    assert "".join(piece["text"] for piece in found["highlight"]).strip() == found["segment"]["text"]


async def test_whoever_was_shown_is_a_participant_and_speaker_a_is_not(mixed: Mixed) -> None:
    """Noted at the end, with the words that stay nobody's left out."""
    await mixed.say(f"{TALK} now then")
    await mixed.hint(JOE, NINA)
    await mixed.end()
    assert await mixed.said() == [CUT[0], ("Nina", "yes please do now"), ("Speaker A", "then")]

    data = (await mixed.collector.get(STANDUP)).json()["data"]

    assert data["participants"] == ["Joe", "Nina"]


async def test_a_deleted_meeting_keeps_no_hint_and_takes_none(
    mixed: Mixed, user: dict[str, str], store: Store, postgres_url: str
) -> None:
    """Names are gone from every table, and one that comes late is let go."""
    await mixed.say()
    await mixed.hint(JOE, NINA)
    await mixed.end()

    deleted = await mixed.collector.delete("/meetings/replay/standup", headers=user)
    await mixed.hint((2, "Ken", 3.0, 4.0))

    assert deleted.status_code == 200
    connection = await asyncpg.connect(postgres_url)
    left = await connection.fetchval("SELECT count(*) FROM speaker_hints")
    events = await connection.fetch("SELECT event::text FROM outbox")
    await connection.close()
    assert left == 0
    assert [name for name in ("Joe", "Nina", "Ken") if any(name in row["event"] for row in events)] == []


async def test_hints_that_are_none_are_refused(mixed: Mixed) -> None:
    """None, empty, longer than a hint may be, unnumbered, of nobody, or too many at once."""
    valid = {"seq": 0, "from_s": 1.0, "until_s": 2.0, "speaker": "Joe"}
    wrong = ({"until_s": 1.0}, {"until_s": 99.0}, {"seq": -1}, {"speaker": ""})
    bodies = [[], *([valid | change] for change in wrong), [valid | {"seq": number} for number in range(33)]]

    answers = [await mixed.call("hints", {"evidence": "a coloured frame", "hints": hints}) for hints in bodies]

    assert [answer.status_code for answer in answers] == [422] * 6
    assert all("hints" in answer.json()["detail"] for answer in answers)

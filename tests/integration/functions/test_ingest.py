"""The collector's event sink: every batch once, in order, acknowledged."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import redis.asyncio as redis
from prometheus_client.parser import text_string_to_metric_families

from vexa_events.callbacks import Attribution, EpochOpened, OpenEpoch
from vexa_events.envelope import Event, encode_binary
from vexa_events.identity import StreamKind
from vexa_events.live import FIELD, LiveMessage, StoredMark, feed_key, stored_key
from vexa_events.registry import TRANSCRIPT_COMMITTED, committed_event
from vexa_events.session_token import SessionClaims, issue_session_token
from vexa_events.transcript import Segment, Span, SpanKind, TranscriptCommitted, Word
from vexa_functions.hosting.metrics import Outcome, exposition
from vexa_functions.store.tables import Store


@dataclass
class Meeting:
    """A running session with one stream, and the means to speak as its bot and as its worker."""

    bots: httpx.AsyncClient
    collector: httpx.AsyncClient
    valkey: "redis.Redis"
    user: dict[str, str]
    claims: SessionClaims
    signing_key: str

    @property
    def stream_uid(self) -> str:
        return f"{self.claims.session_uid}.0"

    async def open_epoch(self, stream_uid: str | None = None) -> EpochOpened:
        wanted = OpenEpoch(stream_uid=stream_uid or self.stream_uid, kind=StreamKind.PARTICIPANT, start_s=0.0)
        return EpochOpened.model_validate((await self.call("epochs", wanted.model_dump(mode="json"))).json())

    async def call(self, what: str, body: dict[str, Any]) -> httpx.Response:
        token = issue_session_token(
            self.claims, key=self.signing_key, now=datetime.now(UTC), lifetime=timedelta(hours=1)
        )
        path = f"/internal/sessions/{self.claims.session_uid}/{what}"
        answer = await self.bots.post(path, json=body, headers={"authorization": f"Bearer {token}"})
        assert answer.is_success, answer.text
        return answer

    def batch(self, *, epoch: int, seq: int, text: str | None = None, **fields: Any) -> TranscriptCommitted:
        """Cover (seq, seq + 1] seconds, with one word where `text` is given."""
        from_s, until_s = fields.pop("from_s", float(seq)), fields.pop("until_s", float(seq + 1))
        word = text and Word(text=text, start_s=from_s + 0.1, end_s=from_s + 0.5)
        segment = word and Segment(seq=seq, start_s=word.start_s, end_s=word.end_s, text=word.text, words=(word,))
        valid: dict[str, Any] = {
            "meeting_id": self.claims.meeting_id,
            "user_id": self.claims.user_id,
            "session_uid": self.claims.session_uid,
            "stream_uid": self.stream_uid,
            "epoch": epoch,
            "batch_seq": seq,
            "from_s": from_s,
            "until_s": until_s,
            "spans": (Span(from_s=from_s, until_s=until_s, kind=SpanKind.SPEECH if text else SpanKind.SILENCE),),
            "segments": (segment,) if segment else (),
        }
        return TranscriptCommitted.model_validate(valid | fields)

    async def deliver(self, batch: TranscriptCommitted) -> int:
        return (await self.deliver_event(committed_event(batch))).status_code

    async def deliver_event(self, event: Event) -> httpx.Response:
        headers, body = encode_binary(event)
        return await self.collector.post("/events", headers=headers, content=body)

    async def texts(self) -> list[str]:
        return [segment["text"] for segment in (await self.transcript())["segments"]]

    async def transcript(self) -> dict[str, Any]:
        answer = await self.collector.get("/transcripts/replay/standup", headers=self.user)
        read: dict[str, Any] = answer.json()
        return read

    async def mark(self) -> StoredMark | None:
        text = await self.valkey.get(stored_key(self.stream_uid))
        return None if text is None else StoredMark.model_validate_json(text)

    async def live(self) -> list[LiveMessage]:
        entries: Any = await self.valkey.xrange(feed_key(self.claims.meeting_id))
        messages = [LiveMessage.model_validate_json(fields[FIELD]) for _, fields in entries]
        return [message for message in messages if message.segments]


@pytest.fixture
async def meeting(
    bots: httpx.AsyncClient, collector: httpx.AsyncClient, valkey: "redis.Redis", user: dict[str, str], signing_key: str
) -> Meeting:
    """A meeting whose bot was just asked for."""
    created = await bots.post("/bots", json={"platform": "replay", "native_meeting_id": "standup"}, headers=user)
    assert created.status_code == 201, created.text
    running = (await bots.get("/bots/status", headers=user)).json()["running_bots"][0]
    claims = SessionClaims.model_validate(
        {"sub": running["container_name"], "meeting": created.json()["id"], "user": created.json()["user_id"]}
    )
    return Meeting(bots=bots, collector=collector, valkey=valkey, user=user, claims=claims, signing_key=signing_key)


async def test_a_batch_is_stored_shown_and_acknowledged(meeting: Meeting) -> None:
    """One delivery makes the text readable, live and acknowledged."""
    await meeting.open_epoch()

    assert await meeting.deliver(meeting.batch(epoch=1, seq=0, text="hello")) == 204

    assert await meeting.texts() == ["hello"]
    assert await meeting.mark() == StoredMark(epoch=1, until_s=1.0)
    assert [segment.text for message in await meeting.live() for segment in message.segments] == ["hello"]


async def test_an_event_sink_answers_with_an_empty_body(meeting: Meeting) -> None:
    """A Broker takes a 2xx whose body is no CloudEvent as a failed delivery."""
    await meeting.open_epoch()

    answer = await meeting.deliver_event(committed_event(meeting.batch(epoch=1, seq=0)))

    assert (answer.status_code, answer.content) == (204, b"")


async def test_the_same_batch_twice_is_stored_once_and_acknowledged_again(meeting: Meeting) -> None:
    """When Valkey forgot the mark, the next duplicate writes it again."""
    await meeting.open_epoch()
    batch = meeting.batch(epoch=1, seq=0, text="once")
    await meeting.deliver(batch)
    await meeting.valkey.delete(stored_key(meeting.stream_uid))

    assert await meeting.deliver(batch) == 204

    assert await meeting.texts() == ["once"]
    assert await meeting.mark() == StoredMark(epoch=1, until_s=1.0)


async def test_batches_in_reverse_order_become_readable_in_order(meeting: Meeting) -> None:
    """A batch whose predecessor is missing waits unread, and is promoted when it comes."""
    await meeting.open_epoch()
    for seq in (3, 2, 1):
        assert await meeting.deliver(meeting.batch(epoch=1, seq=seq, text=f"word{seq}")) == 204
    assert await meeting.texts() == []
    assert await meeting.mark() == StoredMark(epoch=1, until_s=0.0)

    await meeting.deliver(meeting.batch(epoch=1, seq=0, text="word0"))

    assert await meeting.texts() == ["word0", "word1", "word2", "word3"]
    assert await meeting.mark() == StoredMark(epoch=1, until_s=4.0)


async def test_a_batch_from_a_fenced_epoch_is_ignored(meeting: Meeting) -> None:
    """A worker that lost its stream may still deliver late; its text must not appear, its mark tells it so."""
    await meeting.open_epoch()
    await meeting.deliver(meeting.batch(epoch=1, seq=0, text="first"))
    opened = await meeting.open_epoch()

    assert await meeting.deliver(meeting.batch(epoch=1, seq=1, text="late")) == 204

    assert (opened.epoch, opened.resume_from_s) == (2, 1.0)
    assert await meeting.texts() == ["first"]
    assert await meeting.mark() == StoredMark(epoch=2, until_s=1.0)


async def test_opening_an_epoch_discards_what_waited(meeting: Meeting) -> None:
    """Text that waits for a predecessor of a fenced epoch must never be promoted."""
    await meeting.open_epoch()
    await meeting.deliver(meeting.batch(epoch=1, seq=1, text="waiting"))
    await meeting.open_epoch()

    await meeting.deliver(meeting.batch(epoch=2, seq=0, text="new"))

    assert await meeting.texts() == ["new"]


async def test_a_new_epoch_goes_on_behind_the_last_stored_words(meeting: Meeting) -> None:
    """The worker that takes over gets the words by which it finds its place."""
    await meeting.open_epoch()
    for seq in range(8):
        await meeting.deliver(meeting.batch(epoch=1, seq=seq, text=f"word{seq}"))

    opened = await meeting.open_epoch()

    assert opened.resume_from_s == 8.0
    assert [word.text for word in opened.last_words] == [f"word{seq}" for seq in range(2, 8)]


async def test_a_batch_that_leaves_a_hole_is_refused_whole(meeting: Meeting) -> None:
    """Text behind an unexplained hole must not be stored."""
    await meeting.open_epoch()

    assert await meeting.deliver(meeting.batch(epoch=1, seq=0, text="far", from_s=5.0, until_s=6.0)) == 422

    assert await meeting.texts() == []


@pytest.mark.parametrize(
    "wrong",
    [{"meeting_id": 999}, {"user_id": 999}, {"session_uid": "other"}, {"epoch": 2}, {"stream_uid": "unknown"}],
    ids=str,
)
async def test_a_batch_that_does_not_fit_its_stream_is_refused(meeting: Meeting, wrong: dict[str, Any]) -> None:
    """Nobody can write into a stream by naming it from another meeting, tenant or epoch."""
    await meeting.open_epoch()

    assert await meeting.deliver(meeting.batch(seq=0, text="intruder", **({"epoch": 1} | wrong))) == 422

    assert await meeting.texts() == []


@pytest.mark.parametrize(
    ("headers", "body", "named"),
    [
        ({"content-type": "application/json"}, b"{}", "CloudEvent"),
        ({"content-type": "application/cloudevents-batch+json"}, b"[]", "batched"),
        ({"content-type": "application/cloudevents+json"}, b"{broken", "not JSON"),
        (
            {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/x", "ce-type": "vexa.unknown.seen.v1"},
            b"{}",
            "vexa.unknown.seen.v1",
        ),
        (
            {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/x", "ce-type": "vexa.transcript.committed.v1"},
            b'{"epoch": 0}',
            "epoch",
        ),
    ],
    ids=["no event", "batch", "broken json", "unknown type", "contract broken"],
)
async def test_what_is_no_known_event_is_refused_by_name(
    collector: httpx.AsyncClient, headers: dict[str, str], body: bytes, named: str
) -> None:
    """422 sends it to the dead letters at once; the answer names the fault."""
    answer = await collector.post("/events", headers=headers, content=body)

    assert answer.status_code == 422
    assert named in answer.json()["detail"]


async def test_a_second_version_beside_the_first_goes_to_the_dead_letters(meeting: Meeting) -> None:
    """What is not understood is kept for redrive; what is understood is stored, with new fields or without."""
    await meeting.open_epoch()
    known = committed_event(meeting.batch(epoch=1, seq=0, text="hello"))
    second = replace(known, type="vexa.transcript.committed.v2", data={"shape": "unknown"})
    widened = replace(known, data={**known.data, "added_later": 1}, extensions={**known.extensions, "addedlater": "1"})

    answers = [(await meeting.deliver_event(event)).status_code for event in (second, widened, second)]

    assert answers == [422, 204, 422]
    assert await meeting.texts() == ["hello"]


async def test_a_late_name_repaints_the_stored_text(meeting: Meeting) -> None:
    """The speaker belongs to the stream: the highest revision wins, whatever the order of arrival."""
    await meeting.open_epoch()
    await meeting.deliver(meeting.batch(epoch=1, seq=0, text="hello"))
    for revision, speaker in ((2, "Maya"), (1, "Speaker A")):
        attribution = Attribution(stream_uid=meeting.stream_uid, speaker=speaker, revision=revision, evidence="tile")
        await meeting.call("attributions", attribution.model_dump(mode="json"))

    read = await meeting.transcript()

    assert [(segment["speaker"], segment["revision"]) for segment in read["segments"]] == [("Maya", 2)]


async def test_coverage_accounts_for_every_captured_second(meeting: Meeting) -> None:
    """Speech, silence, missing with its reason, and pending add up to what the bot captured."""
    await meeting.open_epoch()
    await meeting.deliver(meeting.batch(epoch=1, seq=0, text="hello"))
    await meeting.deliver(meeting.batch(epoch=1, seq=1))
    shed = Span(from_s=2.0, until_s=3.0, kind=SpanKind.MISSING, reason="overload")
    await meeting.deliver(meeting.batch(epoch=1, seq=2, spans=(shed,)))
    await meeting.call("heartbeats", {"streams": [{"stream_uid": meeting.stream_uid, "captured_until_s": 5.5}]})

    ledger = (await meeting.transcript())["coverage"]

    totals = {name: ledger[name] for name in ("captured_s", "speech_s", "silence_s", "missing_s", "pending_s")}
    assert totals == {"captured_s": 5.5, "speech_s": 1.0, "silence_s": 1.0, "missing_s": 1.0, "pending_s": 2.5}
    assert [(gap["start"], gap["end"], gap["reason"]) for gap in ledger["missing"]] == [(2.0, 3.0, "overload")]


async def test_batches_are_counted_by_what_became_of_them(meeting: Meeting) -> None:
    """One that comes again, one that comes early and one of a fenced epoch are not taken for news."""
    before = told()
    await meeting.open_epoch()
    await meeting.open_epoch()

    for epoch, seq in ((2, 0), (2, 0), (1, 0), (2, 2)):
        assert await meeting.deliver(meeting.batch(epoch=epoch, seq=seq)) == 204
    assert await meeting.deliver(meeting.batch(epoch=3, seq=0)) == 422

    counted = {outcome: events(outcome, told()) - events(outcome, before) for outcome in Outcome}
    assert counted == {"taken": 1, "duplicate": 2, "early": 1, "refused": 1, "failed": 0}


async def test_how_long_a_batch_is_waited_for_does_not_hang_on_the_clock_of_a_bot(meeting: Meeting) -> None:
    """One that says that it ended long ago has ended now: what it captured may still be on its way."""
    await meeting.open_epoch()
    report = {"stream_uid": meeting.stream_uid, "captured_until_s": 1.0}
    long_ago = {"status": "failed", "reason": "bot_lost", "at": "2026-01-01T00:00:00Z", "streams": [report]}
    await meeting.call("statuses", long_ago)
    await meeting.collector.post("/internal/tick")
    before = await meeting.transcript()

    await meeting.deliver(meeting.batch(epoch=1, seq=0, text="late"))
    await meeting.collector.post("/internal/tick")

    after = await meeting.transcript()
    assert (before["finalized"], after["finalized"]) == (False, True)
    assert after["coverage"]["missing"] == []


async def test_what_a_lost_bot_had_captured_is_shown_missing(
    meeting: Meeting, impatient_collector: httpx.AsyncClient
) -> None:
    """After the session's end nothing is pending any more: what is not stored is missing, with the reason."""
    await meeting.open_epoch()
    await meeting.deliver(meeting.batch(epoch=1, seq=0, text="hello"))
    report = {"stream_uid": meeting.stream_uid, "captured_until_s": 4.0}
    await meeting.call(
        "statuses",
        {"status": "failed", "reason": "bot_lost", "at": "2026-01-01T00:00:00Z", "streams": [report]},
    )
    await impatient_collector.post("/internal/tick")

    read = await meeting.transcript()

    assert read["finalized"]
    assert read["coverage"]["pending_s"] == 0.0
    assert [(gap["start"], gap["end"], gap["reason"]) for gap in read["coverage"]["missing"]] == [
        (1.0, 4.0, "bot_lost")
    ]


async def test_what_sessions_come_to_is_told_by_any_instance(
    meeting: Meeting, impatient_collector: httpx.AsyncClient, store: Store
) -> None:
    """The database adds it up, once a session; an instance that has counted nothing tells it all."""
    async with store.transaction() as tables:
        await tables.coverage_totals.add({("captured", ""): 100.0, ("missing", "bot_lost"): 5.0})
    await meeting.open_epoch()
    await meeting.deliver(meeting.batch(epoch=1, seq=0, text="hello"))
    report = {"stream_uid": meeting.stream_uid, "captured_until_s": 4.0}
    lost = {"status": "failed", "reason": "bot_lost", "at": "2026-01-01T00:00:00Z", "streams": [report]}
    await meeting.call("statuses", lost)

    for _ in range(2):
        await impatient_collector.post("/internal/tick")

    seconds = {name.removeprefix("vexa_coverage_"): value for name, value in told().items() if "coverage" in name}
    assert {name: value for name, value in seconds.items() if value} == {
        "captured_seconds_total{}": 104.0,
        "speech_seconds_total{}": 1.0,
        "missing_seconds_total{'reason': 'bot_lost'}": 8.0,
    }
    assert seconds["missing_seconds_total{'reason': 'overload'}"] == 0.0


async def test_a_session_that_never_heard_anything_is_finalized_too(meeting: Meeting) -> None:
    """A bot that found no meeting leaves nothing to wait for."""
    failed = {"status": "failed", "reason": "recording_not_found", "at": "2026-01-01T00:00:00Z"}
    await meeting.call("statuses", failed)
    before = await meeting.transcript()

    await meeting.collector.post("/internal/tick")

    assert (before["finalized"], (await meeting.transcript())["finalized"]) == (False, True)


def told() -> dict[str, float]:
    """Return what Prometheus is told, by name and labels."""
    families = text_string_to_metric_families(exposition().decode())
    return {f"{sample.name}{sample.labels}": sample.value for family in families for sample in family.samples}


def events(outcome: Outcome, numbers: dict[str, float]) -> float:
    labels = {"outcome": outcome.value, "type": TRANSCRIPT_COMMITTED}
    return numbers.get(f"vexa_events_total{labels}", 0.0)

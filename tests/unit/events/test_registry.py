"""Envelopes derived from data."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vexa_events.envelope import Event, encode_binary, encode_structured
from vexa_events.errors import InvalidMessage
from vexa_events.identity import BotStatus
from vexa_events.lifecycle import MAX_HINTS, BotStatusChanged, MeetingFinalized, SpeakerHinted, StreamAttributed
from vexa_events.registry import (
    CONTRACTS,
    attributed_event,
    bot_event,
    committed_event,
    finalized_event,
    hinted_event,
    read_data,
)
from vexa_events.transcript import TranscriptCommitted

AT = datetime(2026, 3, 17, 9, tzinfo=UTC)
IDS = {"meeting_id": 5, "user_id": 17, "session_uid": "s"}
WHERE = {"platform": "replay", "native_meeting_id": "standup"}


def a_batch(**changes: Any) -> TranscriptCommitted:
    stream = {"stream_uid": "s.1", "epoch": 2, "batch_seq": 7, "from_s": 0, "until_s": 1}
    spans = [{"from_s": 0, "until_s": 1, "kind": "silence"}]
    return TranscriptCommitted.model_validate({**IDS, **stream, "spans": spans, **changes})


def a_change(**changes: Any) -> BotStatusChanged:
    return BotStatusChanged.model_validate(
        {**IDS, **WHERE, "status": BotStatus.ACTIVE, "sequence": 3, "at": AT, **changes}
    )


def an_attribution(**changes: Any) -> StreamAttributed:
    speaker = {"stream_uid": "s.1", "speaker": "Zoë", "revision": 2, "evidence": "tile"}
    return StreamAttributed.model_validate({**IDS, **speaker, **changes})


def hinted(count: int = 3, **changes: Any) -> SpeakerHinted:
    hints = [{"seq": 7 + n, "from_s": n, "until_s": n + 1, "speaker": "Zoë", **changes} for n in range(count)]
    return SpeakerHinted.model_validate({**IDS, "evidence": changes.get("speaker", "frame"), "hints": hints})


def an_end(**changes: Any) -> MeetingFinalized:
    figures = {"status": BotStatus.COMPLETED, "segments": 9, "captured_s": 60, "missing_s": 0}
    return MeetingFinalized.model_validate({**IDS, **WHERE, **figures, "at": AT, **changes})


@pytest.mark.parametrize(
    ("event", "type_", "id_", "subject", "extensions"),
    [
        (committed_event(a_batch()), "vexa.transcript.committed.v1", "s.1:2:7", "streams/s.1", ("s.1", "0000000007")),
        (bot_event(a_change()), "vexa.bot.active.v1", "s:status:3", "meetings/5", ("5", "0000000003")),
        (
            attributed_event(an_attribution()),
            "vexa.stream.attributed.v1",
            "s.1:speaker:2",
            "streams/s.1",
            ("s.1", "0000000002"),
        ),
        (hinted_event(hinted()), "vexa.speaker.hinted.v1", "s:hints:7-9", "meetings/5", ("5", "0000000007")),
        (finalized_event(an_end()), "vexa.meeting.finalized.v1", "s:finalized", "meetings/5", ("5", "0000000000")),
    ],
)
def test_an_envelope_derives_from_its_data(
    event: Event, type_: str, id_: str, subject: str, extensions: tuple[str, str]
) -> None:
    """Type, id, subject, source and extensions are functions of what the event says."""
    assert (event.type, event.id, event.subject) == (type_, id_, subject)
    assert event.source == CONTRACTS[type_].source
    assert event.extensions == {"partitionkey": extensions[0], "sequence": extensions[1], "tenant": "17"}


def test_every_state_has_its_contract() -> None:
    """A change into any state can be wrapped."""
    assert {bot_event(a_change(status=status)).type for status in BotStatus} == {
        name for name in CONTRACTS if name.startswith("vexa.bot.")
    }


def test_every_type_follows_the_naming_rule() -> None:
    """Types read vexa.noun.verb.version, and the map agrees with the contracts in it."""
    for name, contract in CONTRACTS.items():
        vexa, noun, verb, version = name.split(".")

        assert (vexa, version, contract.event_type) == ("vexa", "v1", name)
        assert noun.isalpha()
        assert verb.replace("_", "").isalpha()


uids = st.sampled_from(["a", "a:1", "a:1:2", "a:speaker", "a:speaker:1", "a:status", "a:status:1", "a:finalized"])
numbers = st.integers(1, 3)


@given(st.tuples(uids, numbers, uids, numbers))
def test_two_facts_of_one_producer_never_share_an_id(facts: tuple[str, int, str, int]) -> None:
    """A session's state is not taken for a stream's attribution, whatever colons their uids hold."""
    session_uid, sequence, stream_uid, revision = facts

    change = bot_event(a_change(session_uid=session_uid, sequence=sequence))
    attribution = attributed_event(an_attribution(stream_uid=stream_uid, revision=revision))

    assert (change.source, change.id) != (attribution.source, attribution.id)


@given(st.tuples(uids, numbers, numbers), st.tuples(uids, numbers, numbers))
def test_two_batches_never_share_an_id(one: tuple[str, int, int], other: tuple[str, int, int]) -> None:
    """Stream, epoch and number can be told apart in the id."""
    ids = [committed_event(a_batch(stream_uid=uid, epoch=epoch, batch_seq=seq)).id for uid, epoch, seq in (one, other)]

    assert (ids[0] == ids[1]) == (one == other)


@pytest.mark.parametrize("filler", ["😀", "\x01", "世"])
@pytest.mark.parametrize(
    "make",
    [
        lambda text: bot_event(a_change(reason=text * 255, evidence=text * 4_000, platform=text * 255)),
        lambda text: attributed_event(an_attribution(speaker=text * 255, evidence=text * 4_000)),
        lambda text: hinted_event(hinted(MAX_HINTS, speaker=text * 255)),
    ],
)
def test_the_longest_facts_fit_an_event(make: Callable[[str], Event], filler: str) -> None:
    """No legal field makes an event that a broker would refuse."""
    event = make(filler)

    assert encode_binary(event)
    assert encode_structured(event)


def test_data_is_read_as_its_model() -> None:
    """Unknown fields are ignored."""
    event = committed_event(a_batch())

    assert read_data(event, TranscriptCommitted) == a_batch()
    event.data["from_the_future"] = {"x": 1}
    assert read_data(event, TranscriptCommitted) == a_batch()


@pytest.mark.parametrize("data", [None, 5, "x", [], {}, {"meeting_id": "five"}])
def test_data_of_another_shape_is_refused(data: object) -> None:
    """The fault names the event and the fields."""
    event = Event(id="e-1", source="/x", type="vexa.transcript.committed.v1", data=data)

    with pytest.raises(InvalidMessage, match=r"vexa.transcript.committed.v1 e-1: (meeting_id|body): "):
        read_data(event, TranscriptCommitted)

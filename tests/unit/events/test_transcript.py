"""The committed batch refuses what would corrupt a transcript."""

from typing import Any

import pytest
from pydantic import ValidationError

from vexa_events.envelope import MAX_EVENT_BYTES, encode_binary, encode_structured
from vexa_events.identity import MissingReason
from vexa_events.registry import committed_event
from vexa_events.transcript import MAX_BATCH_BYTES, Segment, Span, SpanKind, TranscriptCommitted, Word


def a_span(from_s: float = 0.0, until_s: float = 10.0, kind: SpanKind = SpanKind.SPEECH) -> Span:
    reason = MissingReason.OVERLOAD if kind is SpanKind.MISSING else None
    return Span(from_s=from_s, until_s=until_s, kind=kind, reason=reason)


def a_segment(seq: int = 0, start_s: float = 1.0, end_s: float = 2.0, text: str = "Hello.") -> Segment:
    return Segment(seq=seq, start_s=start_s, end_s=end_s, text=text)


def a_batch(**changes: Any) -> TranscriptCommitted:
    fields = {
        "meeting_id": 5,
        "user_id": 17,
        "session_uid": "s",
        "stream_uid": "s.1",
        "epoch": 1,
        "batch_seq": 0,
        "from_s": 0.0,
        "until_s": 10.0,
        "spans": (a_span(),),
        "segments": (a_segment(),),
        **changes,
    }
    return TranscriptCommitted.model_validate(fields)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"segments": ()}, id="silence alone"),
        pytest.param({"spans": (a_span(0, 4, SpanKind.SILENCE), a_span(4, 10, SpanKind.MISSING))}, id="missing"),
        pytest.param({"spans": (a_span(0, 0.1 + 0.2), a_span(0.3, 10))}, id="edges equal but for rounding"),
        pytest.param({"from_s": 1.0000001, "spans": (a_span(1, 10),)}, id="segment at the edge but for rounding"),
        pytest.param({"segments": (a_segment(6, 1, 2), a_segment(7, 2, 2), a_segment(8, 2, 10))}, id="touching"),
        pytest.param({"until_s": 0.001, "spans": (a_span(0, 0.001),), "segments": ()}, id="one millisecond"),
    ],
)
def test_a_sound_batch_is_taken(changes: dict[str, Any]) -> None:
    """Silence, gaps and touching edges are normal."""
    batch = a_batch(**changes)

    assert TranscriptCommitted.model_validate_json(batch.model_dump_json()) == batch


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"spans": ()}, "spans"),
        ({"spans": (a_span(0, 4), a_span(5, 10))}, "span starts at 5.0 s"),
        ({"spans": (a_span(0, 6), a_span(5, 10))}, "span starts at 5.0 s"),
        ({"spans": (a_span(1, 10),)}, "span starts at 1.0 s"),
        ({"spans": (a_span(0, 9),)}, "spans end at 9.0 s"),
        ({"spans": tuple(a_span(n / 100, (n + 1) / 100) for n in range(201)), "until_s": 2.01}, "at most 200"),
        ({"segments": (a_segment(0, 9, 11),)}, "segment 0"),
        ({"segments": (a_segment(0, 3, 2),)}, "segment 0"),
        ({"segments": (a_segment(0, 4, 5), a_segment(1, 1, 2))}, "segment 1"),
        ({"segments": (a_segment(0, 1, 3), a_segment(1, 2, 4))}, "segment 1"),
        ({"segments": (a_segment(0, 1, 2), a_segment(0, 3, 4))}, "segment 0 follows segment 0"),
        ({"segments": (a_segment(0, 1, 2), a_segment(2, 3, 4))}, "segment 2 follows segment 0"),
        ({"segments": tuple(a_segment(n, 1, 1) for n in range(201))}, "at most 200"),
        ({"segments": tuple(a_segment(n, 1, 1, "x" * 9_000) for n in range(7))}, "over the limit of 57344"),
        ({"epoch": 0}, "epoch"),
        ({"until_s": float("inf")}, "until_s"),
        ({"stream_uid": "a b"}, "stream_uid"),
    ],
)
def test_an_unsound_batch_is_refused(changes: dict[str, Any], fault: str) -> None:
    """A hole, an overlap, a number used twice or a size that cannot travel stops at the door."""
    with pytest.raises(ValidationError, match=fault):
        a_batch(**changes)


@pytest.mark.parametrize(
    "fields",
    [
        {"from_s": 2, "until_s": 2, "kind": "speech"},
        {"from_s": 2, "until_s": 1, "kind": "speech"},
        {"from_s": 1, "until_s": 2, "kind": "missing"},
        {"from_s": 1, "until_s": 2, "kind": "speech", "reason": "overload"},
        {"from_s": 1, "until_s": 2, "kind": "music"},
    ],
)
def test_an_unsound_span_is_refused(fields: dict[str, Any]) -> None:
    """A span runs forward, and says why exactly where its audio is missing."""
    with pytest.raises(ValidationError):
        Span.model_validate(fields)


@pytest.mark.parametrize(
    "changes",
    [
        {"text": "世" * 16_384},
        {"words": tuple(Word(text="so", start_s=1, end_s=2) for _ in range(1_001))},
        {"words": tuple(Word(text="a word of some length", start_s=1, end_s=2) for _ in range(600))},
        {"doubts": ("repetition",) * 9},
        {"text": "NUL \x00"},
        {"words": ({"text": "so", "start_s": 1, "end_s": 2, "probability": 1.01},)},
    ],
)
def test_an_oversized_or_unstorable_segment_is_refused(changes: dict[str, Any]) -> None:
    """A single segment always leaves room for the rest of its batch."""
    with pytest.raises(ValidationError):
        Segment.model_validate({**a_segment().model_dump(), **changes})


@pytest.mark.parametrize("filler", ["x", "世", "😀", "\x01", '"', "\u2028"])
def test_the_largest_batch_fits_an_event(filler: str) -> None:
    """Whatever its text is made of, a legal batch travels in both modes with room for what brokers add."""
    batch = a_batch(stream_uid="s" * 128, session_uid="s" * 128)
    room = MAX_BATCH_BYTES - len(batch.model_dump_json())
    texts = [filler * 1_000] * (room // 1_000)
    while True:
        segments = tuple(a_segment(seq, 1, 1, text) for seq, text in enumerate(texts))
        try:
            batch = a_batch(stream_uid="s" * 128, session_uid="s" * 128, segments=segments)
            break
        except ValidationError:
            texts = texts[:-1]

    event = committed_event(batch)
    headers, body = encode_binary(event)

    assert len(batch.segments) > 5
    assert len(body) + sum(len(name) + len(value) for name, value in headers.items()) < MAX_EVENT_BYTES - 4_096
    assert len(encode_structured(event)[1]) < MAX_EVENT_BYTES - 4_096

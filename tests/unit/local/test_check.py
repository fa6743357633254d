"""Whether a ledger adds up."""

from dataclasses import dataclass
from typing import Any

import pytest

from vexa_local.check import check_transcript, nothing_heard


@dataclass(frozen=True)
class Span:
    """A stored interval."""

    from_s: float
    until_s: float
    stream_uid: str = "s.1"


SPANS = (Span(0.0, 4.0), Span(4.0, 6.0), Span(6.0, 8.0))


def a_transcript(**changes: Any) -> dict[str, Any]:
    """A stream of 10 s: 4 s of speech, 4 s of silence, the last 2 s lost."""
    stream = {
        "stream_uid": "s.1",
        "start": 0.0,
        "captured_until": 10.0,
        "stored_until": 8.0,
        "captured_s": 10.0,
        "speech_s": 4.0,
        "silence_s": 4.0,
        "muted_s": 0.0,
        "missing_s": 2.0,
        "pending_s": 0.0,
    }
    stream |= changes.pop("stream", {})
    missing = changes.pop("missing", [a_gap(8.0, 10.0)])
    segments = changes.pop("segments", [a_segment(0, 0.5, 2.0), a_segment(1, 2.5, 4.0)])
    muted = changes.pop("muted", [])
    ledger = {"streams": changes.pop("streams", [stream]), "muted": muted, "missing": missing}
    meeting = {"id": 7, "status": "completed", "data": {}, "finalized": True}
    return meeting | {"segments": segments, "coverage": ledger} | changes


def a_gap(start: float, end: float, reason: str = "bot_lost") -> dict[str, Any]:
    return {"stream_uid": "s.1", "start": start, "end": end, "reason": reason}


def a_segment(seq: int, start: float, end: float) -> dict[str, Any]:
    return {"segment_id": f"s.1-1-{seq}", "stream_uid": "s.1", "start": start, "end": end}


def test_a_ledger_that_adds_up_has_no_findings() -> None:
    """Speech, silence and what is missing make up the capture."""
    assert check_transcript(a_transcript(), SPANS) == []


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"stream": {"speech_s": 3.0}}, "sum"),
        ({"stream": {"silence_s": 3.0, "pending_s": 1.0}}, "pending"),
        ({"stream": {"silence_s": 3.999, "pending_s": 0.001}}, "pending"),
        ({"finalized": False}, "open"),
        ({"finalized": False, "streams": [], "segments": [], "missing": []}, "open"),
        ({"missing": [a_gap(8.0, 10.0, "unknown")]}, "unknown"),
        ({"missing": [a_gap(8.0, 9.5), a_gap(9.0, 10.0)]}, "overlap"),
        ({"muted": [a_gap(7.0, 9.0, "muted")]}, "overlap"),
        ({"muted": [a_gap(1.0, 2.0, "muted")]}, "overlap"),
        ({"stream": {"muted_s": 1.0}}, "sum"),
        ({"segments": [a_segment(0, 0.5, 2.0), a_segment(1, 1.5, 4.0)]}, "overlap"),
        ({"segments": [a_segment(0, 7.0, 9.0)]}, "overlap"),
        ({"segments": [a_segment(0, 0.5, 2.0), a_segment(0, 2.5, 4.0)]}, "twice"),
        ({"segments": [a_segment(0, 9.0, 11.0)], "missing": []}, "extent"),
    ],
    ids=[
        "sum",
        "pending",
        "one ms pending",
        "not finalized",
        "not finalized nor heard",
        "unknown",
        "missing twice",
        "muted and missing",
        "muted and spoken",
        "muted too long",
        "text twice",
        "text in a hole",
        "same id",
        "past the capture",
    ],
)
def test_what_does_not_add_up_is_found(changes: dict[str, Any], rule: str) -> None:
    """Each rule is named by the finding that breaks it."""
    assert rule in {finding.rule for finding in check_transcript(a_transcript(**changes), SPANS)}


@pytest.mark.parametrize(
    ("spans", "rule"),
    [
        ((SPANS[0], SPANS[2]), "hole"),
        ((SPANS[0], Span(3.0, 6.0), SPANS[2]), "overlap"),
        (SPANS[:2], "extent"),
    ],
    ids=["hole", "overlap", "too short"],
)
def test_spans_that_do_not_tile_the_stream_are_found(spans: tuple[Span, ...], rule: str) -> None:
    """Totals alone could hide a hole behind an overlap."""
    assert rule in {finding.rule for finding in check_transcript(a_transcript(), spans)}


def test_a_failed_meeting_without_a_stream_says_why_nothing_was_heard() -> None:
    """There is no ledger that could add up."""
    data = {"reason": "recording_not_found", "evidence": "there is no recording 'x'"}
    failed = a_transcript(streams=[], segments=[], missing=[], status="failed", data=data, finalized=False)

    assert check_transcript(failed, ()) == []
    assert nothing_heard(failed) == "nothing was heard: recording_not_found: there is no recording 'x'"
    assert nothing_heard(a_transcript(status="failed", data=data)) is None

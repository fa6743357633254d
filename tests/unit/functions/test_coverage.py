"""The coverage ledger: every captured second in exactly one column."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vexa_events.identity import SessionUid, StreamUid
from vexa_functions.collector.coverage import coverage
from vexa_functions.store.transcripts import StoredSpan, StreamExtent

STREAM = StreamUid("s.0")
ENDED_AT = datetime(2026, 1, 1, tzinfo=UTC)


def a_stream(**fields: Any) -> StreamExtent:
    valid: dict[str, Any] = {
        "stream_uid": STREAM,
        "session_uid": SessionUid("s"),
        "kind": "participant",
        "start_s": 0.0,
        "stored_until_s": 0.0,
        "captured_until_s": 0.0,
        "discarded_batches": 0,
        "speaker": None,
        "status": "active",
        "finalized_at": None,
        "ended_for": None,
    }
    return StreamExtent(**valid | fields)


def spans(*pieces: tuple[str, float, str | None], start_s: float = 0.0) -> list[StoredSpan]:
    """Lay (kind, length in seconds, reason) end to end."""
    laid, edge_s = [], start_s
    for kind, length_s, reason in pieces:
        laid.append(StoredSpan(stream_uid=STREAM, from_s=edge_s, until_s=edge_s + length_s, kind=kind, reason=reason))
        edge_s += length_s
    return laid


def test_a_running_stream_has_its_tail_pending() -> None:
    """What is captured and not yet stored is on its way, not missing."""
    ledger = coverage([a_stream(stored_until_s=2.0, captured_until_s=5.0)], spans(("speech", 2.0, None)))

    assert (ledger["pending_s"], ledger["missing_s"]) == (3.0, 0.0)


def test_a_completed_session_that_lacks_text_says_unknown() -> None:
    """An interval that nobody explains must not look like silence."""
    stream = a_stream(stored_until_s=2.0, captured_until_s=5.0, status="completed", finalized_at=ENDED_AT)

    ledger = coverage([stream], spans(("silence", 2.0, None)))

    assert [(gap["start"], gap["end"], gap["reason"]) for gap in ledger["missing"]] == [(2.0, 5.0, "unknown")]


def test_a_millisecond_that_was_not_stored_is_missing_at_the_end_and_not_pending() -> None:
    """Nothing of a finalized session is on its way."""
    stream = a_stream(captured_until_s=0.001, status="completed", finalized_at=ENDED_AT)

    ledger = coverage([stream], [])

    assert (ledger["pending_s"], ledger["missing_s"]) == (0.0, 0.001)


@pytest.mark.parametrize(
    ("ended_for", "reason"),
    [
        ("bot_lost", "bot_lost"),
        ("removed", "bot_lost"),
        ("audio_not_stored", "not_stored"),
        ("transcription_refused", "not_stored"),
    ],
)
def test_a_failed_session_says_who_let_go_of_the_audio(ended_for: str, reason: str) -> None:
    """A bot that lived and gave up is not called lost."""
    stream = a_stream(captured_until_s=5.0, status="failed", finalized_at=ENDED_AT, ended_for=ended_for)

    assert [gap["reason"] for gap in coverage([stream], [])["missing"]] == [reason]


def test_a_hole_between_spans_says_unknown() -> None:
    """The check of the ledger finds rows that were never written."""
    laid = spans(("speech", 1.0, None)) + spans(("speech", 1.0, None), start_s=2.0)

    ledger = coverage([a_stream(stored_until_s=3.0, captured_until_s=3.0)], laid)

    assert [(gap["start"], gap["end"], gap["reason"]) for gap in ledger["missing"]] == [(1.0, 2.0, "unknown")]


def test_muted_time_is_counted_apart_from_what_is_missing() -> None:
    """Nothing was to be heard in it; one that went on from batch to batch is one interval."""
    laid = spans(
        ("speech", 1.0, None), ("missing", 2.0, "muted"), ("missing", 3.0, "muted"), ("missing", 1.0, "page_lost")
    )

    ledger = coverage([a_stream(stored_until_s=7.0, captured_until_s=7.0)], laid)

    assert (ledger["muted_s"], ledger["missing_s"], ledger["pending_s"]) == (5.0, 1.0, 0.0)
    assert [(gap["start"], gap["end"], gap["reason"]) for gap in ledger["muted"]] == [(1.0, 6.0, "muted")]
    assert [(gap["start"], gap["end"], gap["reason"]) for gap in ledger["missing"]] == [(6.0, 7.0, "page_lost")]


PIECE = st.tuples(
    st.sampled_from([("speech", None), ("silence", None), ("missing", "overload"), ("missing", "muted")]),
    st.integers(min_value=1, max_value=90_000),
)


@given(
    pieces=st.lists(PIECE, max_size=20),
    start_ms=st.integers(min_value=0, max_value=600_000),
    tail_ms=st.integers(min_value=0, max_value=60_000),
    finalized=st.booleans(),
)
def test_the_columns_add_up(
    pieces: list[tuple[tuple[str, str | None], int]], start_ms: int, tail_ms: int, finalized: bool
) -> None:
    """Speech, silence, muted, missing and pending sum to what was captured, whatever happened."""
    laid = spans(*((kind, length / 1000, reason) for (kind, reason), length in pieces), start_s=start_ms / 1000)
    stored_until_s = (start_ms + sum(length for _, length in pieces)) / 1000
    stream = a_stream(
        start_s=start_ms / 1000,
        stored_until_s=stored_until_s,
        captured_until_s=stored_until_s + tail_ms / 1000,
        status="failed" if finalized else "active",
        finalized_at=ENDED_AT if finalized else None,
    )

    ledger = coverage([stream], laid)

    parts = ("speech_s", "silence_s", "muted_s", "missing_s", "pending_s")
    assert abs(sum(ledger[part] for part in parts) - ledger["captured_s"]) < 0.01 * max(1, len(pieces))
    assert not finalized or ledger["pending_s"] <= 0.01

"""Cutting a committed interval into batches."""

from collections.abc import Sequence
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from vexa_events.envelope import MAX_EVENT_BYTES, encode_structured
from vexa_events.fields import at_clock_step, same_instant, size_bytes
from vexa_events.fitting import Piece, cut_to_fit
from vexa_events.identity import MissingReason
from vexa_events.registry import committed_event
from vexa_events.transcript import (
    MAX_SEGMENT_BYTES,
    MAX_SPANS,
    Segment,
    Span,
    SpanKind,
    TranscriptCommitted,
    Word,
)

KINDS = (SpanKind.SPEECH, SpanKind.SILENCE)


def spans_over(edges_s: Sequence[float]) -> list[Span]:
    return [Span(from_s=a, until_s=b, kind=KINDS[n % 2]) for n, (a, b) in enumerate(pairwise(edges_s))]


def a_segment(seq: int, start_s: float, end_s: float, *, words: int) -> Segment:
    word = Word(text=" word", start_s=start_s, end_s=end_s, probability=0.987)
    return Segment(seq=seq, start_s=start_s, end_s=end_s, text=" word" * words, words=(word,) * words)


def a_batch(piece: Piece) -> TranscriptCommitted:
    return TranscriptCommitted(
        meeting_id=5,
        user_id=17,
        session_uid="s" * 128,
        stream_uid="s" * 128,
        epoch=1,
        batch_seq=0,
        from_s=piece.spans[0].from_s,
        until_s=piece.spans[-1].until_s,
        spans=piece.spans,
        segments=piece.segments,
    )


def test_what_fits_stays_whole() -> None:
    """The usual interval is one batch, as it was."""
    spans, segments = spans_over([0, 4, 10]), [a_segment(0, 1, 3, words=9)]

    assert list(cut_to_fit(spans, segments)) == [Piece(spans=tuple(spans), segments=tuple(segments))]


def test_a_long_silence_in_many_spans_is_cut() -> None:
    """No segment is needed to cut at."""
    spans = spans_over([n / 10 for n in range(1_000)])

    pieces = list(cut_to_fit(spans, []))

    assert [span for piece in pieces for span in piece.spans] == spans
    assert len(pieces) > 1
    assert all(a_batch(piece) for piece in pieces)


def test_one_span_under_many_segments_is_split_at_their_ends() -> None:
    """A long speech in one span becomes several batches whose edges meet."""
    segments = [a_segment(seq, seq * 10, seq * 10 + 10, words=300) for seq in range(8)]

    pieces = list(cut_to_fit(spans_over([0, 80]), segments))

    assert [segment.seq for piece in pieces for segment in piece.segments] == list(range(8))
    assert [piece.spans[0].from_s for piece in pieces[1:]] == [piece.segments[-1].end_s for piece in pieces[:-1]]
    assert all(a_batch(piece) for piece in pieces)


def test_a_segment_over_many_spans_is_never_split() -> None:
    """Most of the possible cuts lie inside a segment; none of them is taken."""
    segments = [a_segment(seq, seq * 30, seq * 30 + 30, words=320) for seq in range(3)]

    pieces = list(cut_to_fit(spans_over(range(91)), segments))

    assert [[segment.seq for segment in piece.segments] for piece in pieces] == [[0, 1], [2]]
    assert [piece.spans[-1].until_s for piece in pieces] == [60, 90]


def test_the_largest_segment_beside_the_most_spans_is_one_batch() -> None:
    """The bounds of the parts leave room for one another, with positions spelled at their longest."""
    edges_s = [9_000_000 + n * 10.123456789 for n in range(MAX_SPANS + 1)]
    lost = MissingReason.BOT_BUFFER_FULL
    spans = [Span(from_s=a, until_s=b, kind=SpanKind.MISSING, reason=lost) for a, b in pairwise(edges_s)]
    bare = Segment(seq=0, start_s=edges_s[0], end_s=edges_s[-1], text="")
    characters = (MAX_SEGMENT_BYTES - size_bytes(bare)) // 2
    segment = bare.model_copy(update={"text": "é" * characters})

    pieces = list(cut_to_fit(spans, [segment]))

    assert len(pieces) == 1
    assert a_batch(pieces[0])


@st.composite
def intervals(draw: st.DrawFn) -> tuple[list[Span], list[Segment]]:
    steps_ms = draw(st.lists(st.integers(1, 20_000), min_size=1, max_size=60))
    edges_s = [0.0]
    for step_ms in steps_ms:
        edges_s.append(at_clock_step(edges_s[-1] + step_ms / 1_000))
    span_edges_s = [edges_s[0], *draw(st.lists(st.sampled_from(edges_s[1:]), unique=True)), edges_s[-1]]
    talk_edges_s = sorted(draw(st.lists(st.sampled_from(edges_s), unique=True)))
    spoken = [(a, b, draw(st.sampled_from([0, 5, 200, 320]))) for a, b in pairwise(talk_edges_s) if draw(st.booleans())]
    segments = [a_segment(seq, a, b, words=words) for seq, (a, b, words) in enumerate(spoken)]
    return spans_over(sorted(set(span_edges_s))), segments


@settings(max_examples=60, deadline=None)
@given(intervals())
def test_every_piece_is_a_batch_and_nothing_is_lost(interval: tuple[list[Span], list[Segment]]) -> None:
    """Pieces tile the interval, keep every segment whole and in order, and each fits an event."""
    spans, segments = interval

    pieces = list(cut_to_fit(spans, segments))

    assert [segment for piece in pieces for segment in piece.segments] == segments
    assert (pieces[0].spans[0].from_s, pieces[-1].spans[-1].until_s) == (spans[0].from_s, spans[-1].until_s)
    assert all(same_instant(a.spans[-1].until_s, b.spans[0].from_s) for a, b in pairwise(pieces))
    assert seconds_by_kind(pieces) == seconds_by_kind([Piece(spans=tuple(spans), segments=())])
    assert all(len(encode_structured(committed_event(a_batch(p)))[1]) < MAX_EVENT_BYTES for p in pieces)


def seconds_by_kind(pieces: Sequence[Piece]) -> dict[SpanKind, float]:
    spans = [span for piece in pieces for span in piece.spans]
    return {kind: round(sum(s.until_s - s.from_s for s in spans if s.kind is kind), 3) for kind in KINDS}

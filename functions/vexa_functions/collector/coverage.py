"""
The coverage ledger of a meeting: derived from stored spans and the bot's reports, never kept.

Every second between a stream's start and the end of its capture is in exactly
one of: speech, silence, muted, missing with a reason, or pending while the
session still runs.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from vexa_events.fields import reaches
from vexa_events.identity import BotStatus, MissingReason
from vexa_events.transcript import SpanKind
from vexa_functions.store.transcripts import StoredSpan, StreamExtent

GIVEN_UP = frozenset({"audio_not_stored", "transcription_refused"})
"""Reasons with which a bot that lives ends a session whose audio it could not get stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """An interval without text, in seconds on the session clock."""

    stream_uid: str
    session_uid: str
    speaker: str | None
    start: float
    end: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamCoverage:
    """The ledger of one stream, in seconds."""

    stream_uid: str
    session_uid: str
    speaker: str | None
    start: float
    captured_until: float
    stored_until: float
    captured_s: float
    speech_s: float
    silence_s: float
    stored_s: float
    pending_s: float
    muted_s: float
    missing_s: float


def coverage(streams: Sequence[StreamExtent], spans: Iterable[StoredSpan]) -> dict[str, Any]:
    """Add up a meeting's ledger; the shape is that of `coverage` in the public API."""
    spans_by_stream: dict[str, list[StoredSpan]] = {}
    for span in spans:
        spans_by_stream.setdefault(span.stream_uid, []).append(span)
    gaps: list[Missing] = []
    ledgers: list[StreamCoverage] = []
    for stream in streams:
        own = spans_by_stream.get(stream.stream_uid, [])
        found = _missing(stream, own)
        gaps += found
        ledgers.append(_ledger(stream, own, found))
    totals = ("captured_s", "speech_s", "silence_s", "stored_s", "pending_s", "muted_s", "missing_s")
    return {
        **{name: _round(sum(getattr(ledger, name) for ledger in ledgers)) for name in totals},
        "muted": [asdict(gap) for gap in gaps if gap.reason == MissingReason.MUTED],
        "missing": [asdict(gap) for gap in gaps if gap.reason != MissingReason.MUTED],
        "streams": [asdict(ledger) for ledger in ledgers],
    }


def totals_of(ledger: Mapping[str, Any], session_uid: str) -> dict[tuple[str, str], float]:
    """Add up, by kind and reason, what a meeting's ledger says of one session."""
    totals: Counter[tuple[str, str]] = Counter()
    for stream in ledger["streams"]:
        if stream["session_uid"] == session_uid:
            for kind in ("captured", "speech", "silence", "muted"):
                totals[kind, ""] += stream[f"{kind}_s"]
    for gap in ledger["missing"]:
        if gap["session_uid"] == session_uid:
            totals["missing", gap["reason"]] += gap["end"] - gap["start"]
    return dict(totals)


def _ledger(stream: StreamExtent, spans: Sequence[StoredSpan], gaps: Sequence[Missing]) -> StreamCoverage:
    captured_until_s = max(stream.captured_until_s, stream.stored_until_s)
    captured_s = captured_until_s - stream.start_s
    speech_s, silence_s = _seconds(spans, SpanKind.SPEECH), _seconds(spans, SpanKind.SILENCE)
    muted_s = sum(gap.end - gap.start for gap in gaps if gap.reason == MissingReason.MUTED)
    missing_s = sum(gap.end - gap.start for gap in gaps) - muted_s
    return StreamCoverage(
        stream_uid=stream.stream_uid,
        session_uid=stream.session_uid,
        speaker=stream.speaker,
        start=_round(stream.start_s),
        captured_until=_round(captured_until_s),
        stored_until=_round(stream.stored_until_s),
        captured_s=_round(captured_s),
        speech_s=_round(speech_s),
        silence_s=_round(silence_s),
        stored_s=_round(stream.stored_until_s - stream.start_s),
        pending_s=_round(max(0.0, captured_s - speech_s - silence_s - muted_s - missing_s)),
        muted_s=_round(muted_s),
        missing_s=_round(missing_s),
    )


def _missing(stream: StreamExtent, spans: Sequence[StoredSpan]) -> list[Missing]:
    """List the intervals that say why they are missing, then those that nothing explains."""
    found: list[Missing] = []
    edge_s = stream.start_s
    for span in spans:
        if not reaches(edge_s, span.from_s):
            found.append(_gap(stream, edge_s, span.from_s, MissingReason.UNKNOWN))
        if span.kind == SpanKind.MISSING:
            _add(found, _gap(stream, span.from_s, span.until_s, span.reason or MissingReason.UNKNOWN))
        edge_s = max(edge_s, span.until_s)
    if stream.finalized_at is not None and not reaches(edge_s, stream.captured_until_s):
        found.append(_gap(stream, edge_s, stream.captured_until_s, _why_unstored(stream)))
    return found


def _add(gaps: list[Missing], gap: Missing) -> None:
    """Add a gap; one that only goes on from batch to batch stays one."""
    if gaps and gaps[-1].reason == gap.reason and gaps[-1].end == gap.start:
        gap = replace(gaps.pop(), end=gap.end)
    gaps.append(gap)


def _why_unstored(stream: StreamExtent) -> MissingReason:
    """Tell why captured audio at the end of a stream has no text and will not get one."""
    if stream.status != BotStatus.FAILED:
        return MissingReason.NOT_STORED if stream.discarded_batches else MissingReason.UNKNOWN
    return MissingReason.NOT_STORED if stream.ended_for in GIVEN_UP else MissingReason.BOT_LOST


def _gap(stream: StreamExtent, start_s: float, end_s: float, reason: str) -> Missing:
    return Missing(
        stream_uid=stream.stream_uid,
        session_uid=stream.session_uid,
        speaker=stream.speaker,
        start=_round(start_s),
        end=_round(end_s),
        reason=str(reason),
    )


def _seconds(spans: Sequence[StoredSpan], kind: SpanKind) -> float:
    return sum(span.until_s - span.from_s for span in spans if span.kind == kind)


def _round(seconds: float) -> float:
    return round(seconds, 3)

"""Whether a meeting's ledger adds up: every second of every stream in exactly one place. Values in, findings out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

from vexa_events.fields import same_instant
from vexa_events.identity import BotStatus, MissingReason

TOLERANCE_S = 0.002
"""Rounding to whole milliseconds, at either end of an interval."""
UNEXPLAINED = MissingReason.UNKNOWN.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is not as it should be."""

    rule: str
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.rule}  {self.where}: {self.what}"


class Span(Protocol):
    """A stored interval of a stream, in seconds on the session clock."""

    @property
    def stream_uid(self) -> str: ...

    @property
    def from_s(self) -> float: ...

    @property
    def until_s(self) -> float: ...


def check_transcript(transcript: Mapping[str, Any], spans: Sequence[Span]) -> list[Finding]:
    """Check what GET /transcripts answered against itself and against the stored spans."""
    return [
        *_check_end(transcript),
        *_check_streams(transcript),
        *_check_missing(transcript),
        *_check_segments(transcript),
        *_check_spans(transcript, spans),
    ]


def nothing_heard(transcript: Mapping[str, Any]) -> str | None:
    """Tell why a meeting that failed has no stream; None for every other meeting."""
    if transcript["coverage"]["streams"] or transcript["status"] != BotStatus.FAILED:
        return None
    told = [transcript["data"].get(name) for name in ("reason", "evidence")]
    return ": ".join(["nothing was heard", *filter(None, told)])


def _check_end(transcript: Mapping[str, Any]) -> Iterator[Finding]:
    """A ledger is complete once the meeting is finalized."""
    if not transcript["finalized"] and nothing_heard(transcript) is None:
        what = f"the meeting is {transcript['status']}, and not finalized: its ledger is not complete yet"
        yield Finding(rule="open", where=f"meeting {transcript['id']}", what=what)


def _check_streams(transcript: Mapping[str, Any]) -> Iterator[Finding]:
    """Every captured second is speech, silence, muted, missing or pending; nothing is pending once finalized."""
    for stream in transcript["coverage"]["streams"]:
        uid = stream["stream_uid"]
        total_s = sum(stream[name] for name in ("speech_s", "silence_s", "muted_s", "missing_s", "pending_s"))
        if abs(total_s - stream["captured_s"]) > 3 * TOLERANCE_S:
            yield Finding(rule="sum", where=uid, what=f"{total_s:.3f} s of {stream['captured_s']:.3f} s accounted for")
        if transcript["finalized"] and not same_instant(stream["pending_s"], 0.0):
            yield Finding(rule="pending", where=uid, what=f"{stream['pending_s']:.3f} s pending in a finalized meeting")


def _check_missing(transcript: Mapping[str, Any]) -> Iterator[Finding]:
    """Missing intervals are explained; neither they nor muted ones overlap."""
    for gap in transcript["coverage"]["missing"]:
        if gap["reason"] == UNEXPLAINED:
            yield Finding(rule="unknown", where=gap["stream_uid"], what=f"{gap['start']}-{gap['end']} s unexplained")
    for uid, gaps in _by_stream(_without_audio(transcript)).items():
        for before, after in pairwise(sorted(gaps, key=lambda gap: float(gap["start"]))):
            if after["start"] < before["end"] - TOLERANCE_S:
                yield Finding(rule="overlap", where=uid, what=f"missing twice: {after['start']}-{before['end']} s")


def _without_audio(transcript: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [*transcript["coverage"]["missing"], *transcript["coverage"]["muted"]]


def _check_segments(transcript: Mapping[str, Any]) -> Iterator[Finding]:
    """Segments of a stream follow one another, inside the stream and outside of what is missing or muted."""
    ids = [segment["segment_id"] for segment in transcript["segments"]]
    for uid in sorted({uid for uid in ids if ids.count(uid) > 1}):
        yield Finding(rule="twice", where=uid, what="the segment is there more than once")
    gaps_by_stream = _by_stream(_without_audio(transcript))
    extents = {stream["stream_uid"]: stream for stream in transcript["coverage"]["streams"]}
    for uid, segments in _by_stream(transcript["segments"]).items():
        extent = extents[uid]
        edge_s = float(extent["start"])
        for segment in sorted(segments, key=lambda segment: float(segment["start"])):
            where = str(segment["segment_id"])
            if segment["start"] < edge_s - TOLERANCE_S:
                yield Finding(rule="overlap", where=where, what=f"starts at {segment['start']} s, before {edge_s} s")
            if segment["end"] > extent["captured_until"] + TOLERANCE_S:
                yield Finding(rule="extent", where=where, what=f"ends past the capture, at {segment['end']} s")
            if any(_overlap_s(segment, gap) > TOLERANCE_S for gap in gaps_by_stream.get(uid, ())):
                yield Finding(rule="overlap", where=where, what="lies in an interval that is shown missing or muted")
            edge_s = max(edge_s, float(segment["end"]))


def _check_spans(transcript: Mapping[str, Any], spans: Sequence[Span]) -> Iterator[Finding]:
    """The stored spans of a stream tile it from its start to where it is stored."""
    for stream in transcript["coverage"]["streams"]:
        uid, edge_s = stream["stream_uid"], float(stream["start"])
        for span in sorted((span for span in spans if span.stream_uid == uid), key=lambda span: span.from_s):
            if abs(span.from_s - edge_s) > TOLERANCE_S:
                kind = "hole" if span.from_s > edge_s else "overlap"
                yield Finding(
                    rule=kind, where=uid, what=f"a span starts at {span.from_s} s, the last ended at {edge_s} s"
                )
            edge_s = span.until_s
        if abs(edge_s - stream["stored_until"]) > TOLERANCE_S:
            yield Finding(rule="extent", where=uid, what=f"spans end at {edge_s} s, stored {stream['stored_until']} s")


def _by_stream(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(str(row["stream_uid"]), []).append(row)
    return found


def _overlap_s(first: Mapping[str, Any], second: Mapping[str, Any]) -> float:
    return float(min(first["end"], second["end"]) - max(first["start"], second["start"]))

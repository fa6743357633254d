"""Spells a transcript in each of the formats that OpenAI's API names."""

import json
from collections.abc import Callable, Collection
from enum import StrEnum
from typing import Any

from vexa_events.transcript import Segment
from vexa_pool.server.recordings.transcriber import Recorded


class ResponseFormat(StrEnum):
    """How a transcript is answered."""

    JSON = "json"
    TEXT = "text"
    SRT = "srt"
    VTT = "vtt"
    VERBOSE_JSON = "verbose_json"

    @property
    def content_type(self) -> str:
        match self:
            case ResponseFormat.JSON | ResponseFormat.VERBOSE_JSON:
                return "application/json"
            case ResponseFormat.VTT:
                return "text/vtt; charset=utf-8"
            case _:
                return "text/plain; charset=utf-8"


class Granularity(StrEnum):
    """Which times a verbose answer holds."""

    SEGMENT = "segment"
    WORD = "word"


def spell(recorded: Recorded, form: ResponseFormat, granularities: Collection[Granularity]) -> str:
    """Spell a transcript."""
    match form:
        case ResponseFormat.JSON:
            return json.dumps({"text": recorded.text})
        case ResponseFormat.TEXT:
            return f"{recorded.text}\n"
        case ResponseFormat.SRT:
            return "".join(_cue(segment, number, _srt_time) for number, segment in enumerate(recorded.segments, 1))
        case ResponseFormat.VTT:
            return "WEBVTT\n\n" + "".join(_cue(segment, None, _vtt_time) for segment in recorded.segments)
        case ResponseFormat.VERBOSE_JSON:
            return json.dumps(_verbose(recorded, granularities))


def _verbose(recorded: Recorded, granularities: Collection[Granularity]) -> dict[str, Any]:
    spelt: dict[str, Any] = {
        "task": "transcribe",
        "language": recorded.language,
        "duration": round(recorded.duration_s, 3),
        "text": recorded.text,
    }
    if Granularity.SEGMENT in granularities:
        spelt["segments"] = [_segment(segment) for segment in recorded.segments]
    if Granularity.WORD in granularities:
        spelt["words"] = [
            {"word": word.text.strip(), "start": round(word.start_s, 3), "end": round(word.end_s, 3)}
            for segment in recorded.segments
            for word in segment.words
        ]
    return spelt


def _segment(segment: Segment) -> dict[str, Any]:
    return {
        "id": segment.seq,
        "start": round(segment.start_s, 3),
        "end": round(segment.end_s, 3),
        "text": segment.text.strip(),
        "doubts": list(segment.doubts),
    }


def _cue(segment: Segment, number: int | None, spell_time: Callable[[float], str]) -> str:
    heading = "" if number is None else f"{number}\n"
    text = segment.text.strip().replace("-->", "->")
    return f"{heading}{spell_time(segment.start_s)} --> {spell_time(segment.end_s)}\n{text}\n\n"


def _srt_time(position_s: float) -> str:
    return _vtt_time(position_s).replace(".", ",")


def _vtt_time(position_s: float) -> str:
    total_ms = round(position_s * 1_000)
    minutes, ms = divmod(total_ms, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{ms // 1_000:02}.{ms % 1_000:03}"

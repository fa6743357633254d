"""
A transcript as a file: plain text, Markdown, WebVTT and SubRip.

Pure. Each of them also says which intervals were not transcribed, and why.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from vexa_functions.collector.answers import TranscriptAnswer

MIN_CUE_S = 0.001
PARAGRAPH_PAUSE_S = 4.0
"""A longer pause of the same speaker begins a new paragraph."""
NOBODY = "Unknown speaker"


class Format(StrEnum):
    """The forms in which a transcript can be asked for."""

    JSON = "json"
    TEXT = "txt"
    MARKDOWN = "md"
    WEBVTT = "vtt"
    SUBRIP = "srt"


MEDIA_TYPES: Mapping[Format, str] = {
    Format.JSON: "application/json",
    Format.TEXT: "text/plain",
    Format.MARKDOWN: "text/markdown",
    Format.WEBVTT: "text/vtt",
    Format.SUBRIP: "application/x-subrip",
}
RANGES: Mapping[str, Format] = {"*/*": Format.JSON, "application/*": Format.JSON, "text/*": Format.TEXT}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What was said, or was not transcribed, in one interval."""

    start_s: float
    end_s: float
    speaker: str
    text: str
    is_missing: bool = False


def wanted_format(accept: str | None) -> Format:
    """Choose by an Accept header; JSON where it asks for nothing that we have."""
    best, best_weight = Format.JSON, 0.0
    for part in (accept or "").split(","):
        media_type, *parameters = (piece.strip().lower() for piece in part.split(";"))
        weight = _weight(parameters)
        found = next((form for form, own in MEDIA_TYPES.items() if own == media_type), None)
        found = found or RANGES.get(media_type)
        if found is not None and weight > best_weight:
            best, best_weight = found, weight
    return best


def write_transcript(transcript: TranscriptAnswer, form: Format) -> str:
    """Write a transcript in one of the forms."""
    return _WRITERS[form](transcript)


def write_json(transcript: TranscriptAnswer) -> str:
    """Write every field."""
    return transcript.model_dump_json()


def write_text(transcript: TranscriptAnswer) -> str:
    """Write `[time] speaker: text`, a paragraph for each turn."""
    return "".join(
        f"[{_clock(line.start_s)}] {_one_line(line.speaker)}: {_one_line(line.text)}\n"
        for line in _turns(_lines(transcript))
    )


def write_markdown(transcript: TranscriptAnswer) -> str:
    """Write a heading, and a paragraph for each turn."""
    title = transcript.data.get("name") or f"{transcript.platform} {transcript.native_meeting_id}"
    began = transcript.start_time or transcript.created_at
    head = f"# {_plain(str(title))}\n\n{began:%Y-%m-%d %H:%M} UTC\n"
    turns = [
        f"\n*[{_clock(line.start_s)} to {_clock(line.end_s)}] {_plain(line.text)} ({_plain(line.speaker)})*\n"
        if line.is_missing
        else f"\n**{_plain(line.speaker)}** [{_clock(line.start_s)}]  \n{_plain(line.text)}\n"
        for line in _turns(_lines(transcript))
    ]
    return head + "".join(turns)


def write_webvtt(transcript: TranscriptAnswer) -> str:
    """Write a cue for each segment, with its speaker as voice."""
    cues = [
        f"\n{_stamp(line.start_s, '.')} --> {_stamp(_cue_end(line), '.')}\n"
        f"<v {_escaped(_one_line(line.speaker))}>{_escaped(_one_line(line.text))}\n"
        for line in _lines(transcript)
    ]
    return "WEBVTT\n" + "".join(cues)


def write_subrip(transcript: TranscriptAnswer) -> str:
    """Write a numbered cue for each segment."""
    cues = [
        f"{number}\n{_stamp(line.start_s, ',')} --> {_stamp(_cue_end(line), ',')}\n"
        f"{_one_line(line.speaker)}: {_one_line(line.text)}\n"
        for number, line in enumerate(_lines(transcript), start=1)
    ]
    return "\n".join(cues)


_WRITERS: Mapping[Format, Callable[[TranscriptAnswer], str]] = {
    Format.JSON: write_json,
    Format.TEXT: write_text,
    Format.MARKDOWN: write_markdown,
    Format.WEBVTT: write_webvtt,
    Format.SUBRIP: write_subrip,
}


def _lines(transcript: TranscriptAnswer) -> list[Line]:
    """List what was said and what is missing, in order of time."""
    said = [
        Line(start_s=segment.start, end_s=segment.end, speaker=segment.speaker or NOBODY, text=segment.text.strip())
        for segment in transcript.segments
    ]
    missing = [
        Line(
            start_s=gap.start,
            end_s=gap.end,
            speaker=gap.speaker or NOBODY,
            text=f"[not transcribed: {gap.reason}]",
            is_missing=True,
        )
        for gap in transcript.coverage.missing
    ]
    return sorted([*said, *missing], key=lambda line: (line.start_s, line.end_s))


def _turns(lines: Iterable[Line]) -> Sequence[Line]:
    """Join what the same speaker says without a long pause."""
    turns: list[Line] = []
    for line in lines:
        last = turns[-1] if turns else None
        if last is not None and _goes_on(last, line):
            turns[-1] = Line(
                start_s=last.start_s,
                end_s=max(last.end_s, line.end_s),
                speaker=last.speaker,
                text=f"{last.text} {line.text}",
            )
        else:
            turns.append(line)
    return turns


def _goes_on(last: Line, line: Line) -> bool:
    return (
        not (last.is_missing or line.is_missing)
        and last.speaker == line.speaker
        and line.start_s - last.end_s <= PARAGRAPH_PAUSE_S
    )


def _weight(parameters: Iterable[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return min(1.0, max(0.0, float(value)))
            except ValueError:
                return 0.0
    return 1.0


def _cue_end(line: Line) -> float:
    return max(line.end_s, line.start_s + MIN_CUE_S)


def _clock(position_s: float) -> str:
    minutes, seconds = divmod(int(position_s), 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{seconds:02d}"


def _stamp(position_s: float, separator: str) -> str:
    total_ms = round(position_s * 1000)
    seconds, milliseconds = divmod(total_ms, 1000)
    return f"{_clock(seconds)}{separator}{milliseconds:03d}"


def _one_line(text: str) -> str:
    """Join lines: a break would end a cue or forge a speaker's line, an arrow would begin a cue."""
    return " ".join(text.split()).replace("-->", "→")


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _plain(text: str) -> str:
    """Take from Markdown what it would read as its own."""
    return "".join(f"\\{character}" if character in "\\`*_[]<>#" else character for character in _one_line(text))

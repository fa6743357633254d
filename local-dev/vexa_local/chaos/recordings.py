"""Recorded meetings with known words: what was said, when, on which track."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vexa_events.errors import InvalidMessage
from vexa_events.faults import faults

GAP_SHARE = 0.15
"""How much of a word's share of its line is pause, where only the line's times are known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceWord:
    """A spoken word, in seconds of the recording."""

    text: str
    start_s: float
    end_s: float

    @property
    def middle_s(self) -> float:
        return (self.start_s + self.end_s) / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """One meeting of the folder."""

    folder: Path
    length_s: float
    words_by_speaker: dict[str, tuple[ReferenceWord, ...]]


class _Line(BaseModel):
    model_config = ConfigDict(extra="ignore")

    speaker: str = Field(min_length=1)
    start: float = Field(ge=0.0)
    end: float
    text: str


class _Reference(BaseModel):
    model_config = ConfigDict(extra="ignore")

    duration: float = Field(gt=0.0)
    lines: tuple[_Line, ...]


def read_recordings(folder: Path) -> list[Recording]:
    """Read every meeting of a folder that has a reference.json; raise InvalidMessage where there is none."""
    found = [_read(file.parent) for file in sorted(folder.glob("*/reference.json"))]
    if not found:
        raise InvalidMessage(f"{folder} holds no folder with a reference.json")
    return found


def shortened(recording: Recording, length_s: float) -> Recording:
    """Leave out what is said at the end of, or after, a length."""
    if recording.length_s <= length_s:
        return recording
    words = {
        speaker: tuple(word for word in said if word.end_s < length_s)
        for speaker, said in recording.words_by_speaker.items()
    }
    return Recording(folder=recording.folder, length_s=length_s, words_by_speaker=words)


def numbered(recording: Recording, number: int) -> Recording:
    """Tell the words of one meeting from those of every other: each ends in the meeting's number."""
    words = {
        speaker: tuple(replace(word, text=f"{word.text}{number}") for word in said)
        for speaker, said in recording.words_by_speaker.items()
    }
    return replace(recording, words_by_speaker=words)


def heard_words(transcript: Mapping[str, Any]) -> dict[str, tuple[ReferenceWord, ...]]:
    """Take the words of a stored transcript for a reference."""
    lines = [
        _Line(speaker=segment["speaker"], start=segment["start"], end=segment["end"], text=segment["text"])
        for segment in transcript["segments"]
    ]
    return _words_by_speaker(lines)


def track_of(speaker: str) -> str:
    """Name a speaker's track without its suffix; a bot reads the speaker back from it."""
    return f"track-{speaker.lower().replace(' ', '_')}"


def _read(folder: Path) -> Recording:
    try:
        reference = _Reference.model_validate(json.loads((folder / "reference.json").read_text()))
    except (ValueError, ValidationError) as exc:
        told = faults(exc) if isinstance(exc, ValidationError) else str(exc)
        raise InvalidMessage(f"{folder}/reference.json: {told}") from exc
    words = _words_by_speaker(reference.lines)
    return Recording(folder=folder, length_s=reference.duration, words_by_speaker=words)


def _words_by_speaker(lines: Sequence[_Line]) -> dict[str, tuple[ReferenceWord, ...]]:
    words: dict[str, list[ReferenceWord]] = {}
    for line in sorted(lines, key=lambda line: line.start):
        words.setdefault(line.speaker, []).extend(_spread(line))
    return {speaker: tuple(said) for speaker, said in words.items()}


def _spread(line: _Line) -> Sequence[ReferenceWord]:
    """Share a line's time out among its words by their length."""
    texts = line.text.split()
    per_char_s = (line.end - line.start) / max(1, sum(len(text) + 1 for text in texts))
    words, start_s = [], line.start
    for text in texts:
        end_s = start_s + per_char_s * (len(text) + 1)
        words.append(ReferenceWord(text=text, start_s=start_s, end_s=end_s - GAP_SHARE * (end_s - start_s)))
        start_s = end_s
    return words

"""Recorded meetings as speech whose words are known, each with the moment at which it ends."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import av
import numpy as np
from pydantic import BaseModel

from vexa_events.errors import InvalidMessage
from vexa_events.stream import SAMPLE_RATE_HZ
from vexa_pool.loadtest.aligning import Aligner
from vexa_pool.streaming.audio import Samples
from vexa_pool.streaming.clock import samples_in

AUDIO_FILE = "mixed.flac"
REFERENCE_FILE = "reference.json"
AFTER_LAST_LINE_S = 0.4


@dataclass(frozen=True, slots=True)
class KnownWord:
    """A word in its normalised form, with the end of its sound in seconds."""

    text: str
    end_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """Audio and what is said in it."""

    samples: Samples
    words: tuple[KnownWord, ...]
    line_ends_s: tuple[float, ...]
    """Where it can be cut without cutting a word."""

    @property
    def length_s(self) -> float:
        return self.samples.size / SAMPLE_RATE_HZ


class _Line(BaseModel):
    start: float
    end: float
    text: str


class _Reference(BaseModel):
    lines: tuple[_Line, ...]


def load_recordings(folder: Path, *, cache: Path, aligner: Aligner) -> list[Recording]:
    """Read every meeting of a folder; words are aligned once and then remembered in `cache`."""
    found = [_load(path.parent, cache, aligner) for path in sorted(folder.glob(f"*/{REFERENCE_FILE}"))]
    if not found:
        raise InvalidMessage(f"no meeting with a {REFERENCE_FILE} in {folder}")
    return found


def programme(recordings: Sequence[Recording], *, number: int, length_s: float) -> Recording:
    """
    Put recordings one after another and stop at the line that passes a length.

    Each number begins elsewhere, so that streams do not pause together.
    """
    parts = [_cut(_rest(recordings[number % len(recordings)], number // len(recordings)), length_s)]
    total_s = parts[0].length_s
    while total_s < length_s:
        recording = recordings[(number + len(parts)) % len(recordings)]
        part = _cut(recording, length_s - total_s)
        parts.append(part)
        total_s += part.length_s
    return _joined(parts)


def load_audio(path: Path) -> Samples:
    """Decode a file to 16 kHz mono."""
    with av.open(str(path)) as container:
        resampler = av.AudioResampler("flt", "mono", SAMPLE_RATE_HZ)
        frames = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
    return np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames]).astype(np.float32)


def _load(meeting: Path, cache: Path, aligner: Aligner) -> Recording:
    samples = load_audio(meeting / AUDIO_FILE)
    lines = _Reference.model_validate_json((meeting / REFERENCE_FILE).read_text()).lines
    key = hashlib.sha256(samples.tobytes() + repr(lines).encode()).hexdigest()[:24]
    words = _remembered(cache / f"{key}.json")
    if words is None:
        words = tuple(word for line in lines for word in _aligned(samples, line, aligner))
        _remember(cache / f"{key}.json", words)
    return Recording(samples=samples, words=words, line_ends_s=tuple(line.end for line in lines))


def _aligned(samples: Samples, line: _Line, aligner: Aligner) -> list[KnownWord]:
    piece = samples[samples_in(line.start) : samples_in(line.end)]
    ends_s = aligner.word_ends(piece, line.text)
    return [KnownWord(text, round(line.start + end_s, 3)) for text, end_s in ends_s]


def _remembered(file: Path) -> tuple[KnownWord, ...] | None:
    if not file.exists():
        return None
    return tuple(KnownWord(word["text"], word["end_s"]) for word in json.loads(file.read_text()))


def _remember(file: Path, words: Sequence[KnownWord]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps([asdict(word) for word in words]))


def _cut(recording: Recording, length_s: float) -> Recording:
    """Keep whole lines, up to the one that passes a length."""
    if length_s >= recording.length_s:
        return recording
    ends_s = [end_s for end_s in recording.line_ends_s if end_s >= length_s]
    last_s = min(ends_s[0] if ends_s else recording.length_s, recording.length_s)
    return Recording(
        samples=recording.samples[: samples_in(last_s + AFTER_LAST_LINE_S)],
        words=tuple(word for word in recording.words if word.end_s <= last_s),
        line_ends_s=tuple(end_s for end_s in recording.line_ends_s if end_s <= last_s),
    )


def _rest(recording: Recording, lines: int) -> Recording:
    """Leave out some lines at the beginning; as many as there are leave out none."""
    skipped = lines % len(recording.line_ends_s)
    start_s = recording.line_ends_s[skipped - 1] if skipped else 0.0
    return Recording(
        samples=recording.samples[samples_in(start_s) :],
        words=tuple(KnownWord(word.text, word.end_s - start_s) for word in recording.words if word.end_s > start_s),
        line_ends_s=tuple(end_s - start_s for end_s in recording.line_ends_s if end_s > start_s),
    )


def _joined(parts: Sequence[Recording]) -> Recording:
    words: list[KnownWord] = []
    ends_s: list[float] = []
    start_s = 0.0
    for part in parts:
        words += [KnownWord(word.text, start_s + word.end_s) for word in part.words]
        ends_s += [start_s + end_s for end_s in part.line_ends_s]
        start_s += part.length_s
    return Recording(
        samples=np.concatenate([part.samples for part in parts]), words=tuple(words), line_ends_s=tuple(ends_s)
    )

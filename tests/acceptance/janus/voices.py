"""People whose every word is known: pieces of recorded meetings, as files to speak from."""

import json
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tests.recorded_voices import decode

RATE_HZ = 16_000
LEAD_S = 3.0
"""The browser begins to play a file before anybody can hear it."""
PAUSE_S = 0.6


@dataclass
class Voices:
    """Files to speak from, and what they say."""

    meetings_dir: Path
    folder: Path

    def silence(self) -> Path:
        """Return a microphone in a quiet room."""
        return self._write("silence", [np.zeros(round(LEAD_S * RATE_HZ), np.int16)])

    def record(self, meeting: str, speaker: str, lines: Sequence[int]) -> tuple[Path, str]:
        """Cut some of a speaker's lines out of a recorded meeting."""
        source = self.meetings_dir / meeting
        reference = json.loads((source / "reference.json").read_text())["lines"]
        own = [line for line in reference if line["speaker"] == speaker]
        track = decode(source / f"track-{speaker.lower()}.flac", rate_hz=RATE_HZ)
        pieces = [np.zeros(round(LEAD_S * RATE_HZ), np.int16)]
        for number in lines:
            first, last = own[number]["start"] - 0.1, own[number]["end"] + 0.1
            pieces += [track[round(first * RATE_HZ) : round(last * RATE_HZ)]]
            pieces += [np.zeros(round(PAUSE_S * RATE_HZ), np.int16)]
        path = self._write(f"{meeting}-{speaker}-{'-'.join(map(str, lines))}", pieces)
        return path, " ".join(own[number]["text"] for number in lines)

    def _write(self, name: str, pieces: Sequence["np.ndarray[Any, np.dtype[np.int16]]"]) -> Path:
        path = self.folder / f"{name}.wav"
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE_HZ)
            file.writeframes(np.concatenate(pieces).tobytes())
        return path

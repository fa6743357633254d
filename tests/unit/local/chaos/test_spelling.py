"""Audio that spells its words, and the model that reads it."""

import wave
from pathlib import Path

import numpy as np
import pytest

from vexa_events.identity import Task
from vexa_local.chaos.recordings import Recording, ReferenceWord, read_recordings, shortened
from vexa_local.chaos.spelling import INT16_SCALE, SpeltModel, spell, vocabulary_of, write_meeting
from vexa_pool.engine.model import DecodeRequest
from vexa_pool.streaming.window import Purpose, Window

WORDS = tuple(
    ReferenceWord(text=text, start_s=n * 0.5 + 0.1, end_s=n * 0.5 + 0.5) for n, text in enumerate(["we", "we", "know"])
)
VOCABULARY = ("know", "we")
NUMBERS = {text: number for number, text in enumerate(VOCABULARY)}


def read(from_s: float, until_s: float) -> list[str]:
    samples = spell(WORDS, NUMBERS, length_s=2.0).astype(np.float32) / np.float32(INT16_SCALE)
    window = Window(
        purpose=Purpose.FINAL,
        start=0,
        samples=samples[round(from_s * 16_000) : round(until_s * 16_000)],
        speech_s=until_s - from_s,
        encoder_s=12.0,
        attended_s=12.0,
        wants_word_times=True,
    )
    [heard] = SpeltModel(VOCABULARY).transcribe([DecodeRequest(window=window, language="en", task=Task.TRANSCRIBE)])
    return [word.text.strip() for word in heard.words]


def test_spelt_words_are_read_back() -> None:
    """Also the same word twice in a row."""
    assert read(0.0, 2.0) == ["we", "we", "know"]


@pytest.mark.parametrize(("from_s", "until_s"), [(0.0, 1.3), (1.3, 2.0)], ids=["end cut off", "beginning cut off"])
def test_half_a_word_is_no_word(from_s: float, until_s: float) -> None:
    """A wrong cut shows in the text."""
    assert "know" not in read(from_s, until_s)
    assert "kn~" in read(from_s, until_s)


def test_a_silent_window_has_no_words() -> None:
    """Nor has an empty one."""
    assert read(1.6, 2.0) == []
    assert read(2.0, 2.0) == []


def test_recordings_with_a_reference_are_spelt_track_by_track(meetings_dir: Path, tmp_path: Path) -> None:
    """Every meeting that comes with the checkout can be spelt, at its length."""
    recordings = read_recordings(meetings_dir)
    vocabulary = vocabulary_of(recordings)

    for recording in recordings:
        write_meeting(recording, tmp_path / recording.folder.name, vocabulary)

    for recording in recordings:
        tracks = sorted((tmp_path / recording.folder.name).iterdir())
        assert [track.stem for track in tracks] == sorted(
            f"track-{name.lower()}" for name in recording.words_by_speaker
        )
        with wave.open(str(tracks[0])) as track:
            assert track.getnframes() == round(recording.length_s * 16_000)


def test_a_shortened_recording_ends_between_words() -> None:
    """A word that does not fit is left out whole."""
    recording = Recording(folder=Path("standup"), length_s=2.0, words_by_speaker={"Joe": WORDS})

    short = shortened(recording, 0.8)

    assert [word.text for word in short.words_by_speaker["Joe"]] == ["we"]
    assert short.length_s == 0.8

"""Speech of more words than a decode is first given room for."""

from pathlib import Path

import numpy as np

from vexa_events.identity import Task
from vexa_pool.engine.model import DecodeRequest
from vexa_pool.engine.whisper import WhisperModel
from vexa_pool.streaming.window import Purpose, Window, attended_length_s, encoder_length_s
from vexa_pool.streaming.words import joined

from .conftest import load_track

QUICKER = 1.8
SECONDS = 6


def test_a_quick_speaker_is_heard_to_the_end(whisper: WhisperModel, meetings_dir: Path) -> None:
    """Eleven seconds said in six take more tokens than is likely, and the last of them are heard."""
    audio = load_track(meetings_dir / "standup" / "mixed.flac")[24 * 16_000 :]
    quick = np.interp(np.arange(SECONDS * 16_000) * QUICKER, np.arange(audio.size), audio).astype(np.float32)
    window = Window(
        purpose=Purpose.FINAL,
        start=0,
        samples=quick,
        speech_s=SECONDS,
        encoder_s=encoder_length_s(SECONDS),
        attended_s=attended_length_s(Purpose.FINAL, SECONDS),
        wants_word_times=True,
    )

    (heard,) = whisper.transcribe([DecodeRequest(window=window, language="en", task=Task.TRANSCRIBE)])

    assert joined(heard.words).endswith("because the disk was full.")

"""Binary frames turned into samples; what is no sound becomes silence."""

import numpy as np

from vexa_events.stream import AudioFormat
from vexa_pool.streaming.audio import Samples

LOUDEST = 8.0
"""Capture overshoots 1.0 a little; beyond this, values are no samples (int16 sent as float32, say)."""
INT16_SCALE = 32_768.0


def read_samples(frame: bytes, audio_format: AudioFormat) -> tuple[Samples, int]:
    """Return the samples with those that are no sound set to zero, and how many those were."""
    if audio_format is AudioFormat.INT16:
        return np.frombuffer(frame, "<i2").astype(np.float32) / np.float32(INT16_SCALE), 0
    samples = np.frombuffer(frame, "<f4").astype(np.float32)
    with np.errstate(invalid="ignore"):
        sound = np.isfinite(samples) & (np.abs(samples) <= LOUDEST)
    if sound.all():
        return samples, 0
    return np.where(sound, samples, np.float32(0.0)), int((~sound).sum())

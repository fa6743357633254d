"""Frames turned into samples."""

import numpy as np
import pytest

from vexa_events.stream import AudioFormat
from vexa_pool.server.samples import read_samples


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 3e4, -9.0])
def test_what_is_no_sound_becomes_silence(bad: float) -> None:
    """One bad value costs itself and nothing else, and is counted."""
    samples, silenced = read_samples(np.array([0.5, bad, -1.1], "<f4").tobytes(), AudioFormat.FLOAT32)

    assert samples.tolist() == pytest.approx([0.5, 0.0, -1.1])
    assert silenced == 1


def test_int16_is_scaled_to_floats() -> None:
    """Both formats mean the same sound."""
    samples, _ = read_samples(np.array([16_384, -32_768], "<i2").tobytes(), AudioFormat.INT16)

    assert samples.tolist() == [0.5, -1.0]

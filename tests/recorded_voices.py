"""Recorded voices as samples, for tests that play or place them."""

from pathlib import Path
from typing import Any

import av
import numpy as np

Pcm = np.ndarray[Any, np.dtype[np.int16]]
"""Mono."""


def decode(path: Path, *, rate_hz: int) -> Pcm:
    """Read a file of any format at a given rate."""
    resampler = av.AudioResampler(format="s16", layout="mono", rate=rate_hz)
    with av.open(str(path)) as container:
        frames = [piece for frame in container.decode(audio=0) for piece in resampler.resample(frame)]
        frames += resampler.resample(None)
    return np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames])

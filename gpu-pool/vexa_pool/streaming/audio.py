"""Audio of one stream, addressed by its position on the session clock."""

from collections import deque

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
"""Mono, 16 kHz, in [-1, 1]."""


class AudioBuffer:
    """Keeps samples from the oldest one still needed to the newest; may have holes where capture paused."""

    def __init__(self, origin: int) -> None:
        """`origin` is the position of the first sample, in samples."""
        self._pieces: deque[tuple[int, Samples]] = deque()
        self._end = origin

    @property
    def end(self) -> int:
        """Position after the newest sample."""
        return self._end

    def append(self, samples: Samples) -> None:
        """Add samples at the end; the buffer keeps the array, the caller must not change it."""
        if samples.size:
            self._pieces.append((self._end, samples))
            self._end += int(samples.size)

    def jump(self, position: int) -> None:
        """Go on at a later position; nothing is known in between."""
        self._end = max(self._end, position)

    def read(self, start: int, end: int) -> Samples:
        """Copy out an interval; holes and what was dropped read as zeros."""
        out = np.zeros(max(0, end - start), np.float32)
        for origin, piece in self._pieces:
            first, last = max(start, origin), min(end, origin + int(piece.size))
            if first < last:
                out[first - start : last - start] = piece[first - origin : last - origin]
        return out

    def drop_before(self, position: int) -> None:
        """Forget pieces that end at or before a position."""
        while self._pieces and self._pieces[0][0] + self._pieces[0][1].size <= position:
            self._pieces.popleft()

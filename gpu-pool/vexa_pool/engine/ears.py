"""Voice detection for all streams, on one thread of its own."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor

from vexa_pool.engine.model import Detector
from vexa_pool.streaming.audio import Samples
from vexa_pool.streaming.clock import samples_in

PIECE = samples_in(5.0)
"""Judged at once; a stream that sends minutes in one frame lets the others in between."""


class Ears:
    """Gives each stream a detector and runs them all."""

    def __init__(self, new_detector: Callable[[], Detector]) -> None:
        self._new_detector = new_detector
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="ears")

    def detector(self) -> Detector:
        """Make the detector of one stream."""
        return self._new_detector()

    async def listen(self, detector: Detector, samples: Samples) -> AsyncIterator[tuple[Samples, list[float]]]:
        """Yield the samples piece by piece, each with the voice probabilities of the frames it completes."""
        loop = asyncio.get_running_loop()
        for start in range(0, samples.size, PIECE):
            piece = samples[start : start + PIECE]
            yield piece, await loop.run_in_executor(self._executor, detector.probabilities, piece)

    def close(self) -> None:
        """Stop the thread."""
        self._executor.shutdown(wait=False, cancel_futures=True)

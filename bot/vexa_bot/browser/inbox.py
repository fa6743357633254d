"""
What pages told and nobody has read yet. Bounded: what does not fit is counted, and sound that is given up leaves word.

The word stands where the sound would: a stream without it would close the gap, and nobody would know.
"""

import asyncio
import logging
from dataclasses import dataclass, replace

from vexa_bot.browser.page_messages import AudioChunk, SpeakingNow, StreamMessage

logger = logging.getLogger(__name__)
MAX_MESSAGES = 2_000
"""From there on nothing is taken in but the ends of tracks, of which there are few."""
MAX_LOST_TRACKS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioLost:
    """Chunks of one track in a row that were given up."""

    first: AudioChunk
    last: AudioChunk
    has_sound: bool


Told = StreamMessage | AudioLost
_TrackId = tuple[str, int]


class Inbox:
    """Messages in the order in which they came."""

    def __init__(self, *, limit: int = MAX_MESSAGES) -> None:
        self.dropped = 0
        """Messages given up so far."""
        self._limit = limit
        self._waiting: asyncio.Queue[Told] = asyncio.Queue()
        self._lost: dict[_TrackId, AudioLost] = {}

    @property
    def is_empty(self) -> bool:
        return self._waiting.empty()

    def put(self, message: StreamMessage) -> None:
        """Take in a message, behind word of what was lost of its track; one that does not fit is given up."""
        room = self._limit - self._waiting.qsize()
        if room <= 0 and (isinstance(message, AudioChunk | SpeakingNow) or room <= -self._limit):
            self._drop(message)
            return
        if not isinstance(message, SpeakingNow) and (lost := self._lost.pop((message.doc, message.track), None)):
            self._waiting.put_nowait(lost)
        self._waiting.put_nowait(message)

    async def next(self) -> Told:
        """Wait for the oldest message."""
        return await self._waiting.get()

    def take_all(self) -> list[Told]:
        """Take what waits, and word of what was lost at the end."""
        taken = [*(self._waiting.get_nowait() for _ in range(self._waiting.qsize())), *self._lost.values()]
        self._lost.clear()
        return taken

    def _drop(self, message: StreamMessage) -> None:
        self.dropped += 1
        if isinstance(message, AudioChunk):
            self._lose(message)
        if self.dropped == 1 or self.dropped % self._limit == 0:
            logger.error("page messages dropped, the bot does not keep up", extra={"dropped": self.dropped})

    def _lose(self, chunk: AudioChunk) -> None:
        track, has_sound = (chunk.doc, chunk.track), any(chunk.samples)
        if known := self._lost.get(track):
            self._lost[track] = replace(known, last=chunk, has_sound=known.has_sound or has_sound)
        elif len(self._lost) < MAX_LOST_TRACKS:
            self._lost[track] = AudioLost(first=chunk, last=chunk, has_sound=has_sound)

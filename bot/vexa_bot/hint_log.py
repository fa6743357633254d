"""Who was shown as speaking, kept until the bots function has it."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from itertools import islice, takewhile

from vexa_bot.capture import SpeakerHinted
from vexa_bot.session_clock import to_s
from vexa_events.callbacks import SpeakerHints
from vexa_events.lifecycle import MAX_HINTS, SpeakerHint

logger = logging.getLogger(__name__)
MAX_WAITING = 20_000
"""Hours of lively talk; past it the oldest are let go, and their words stay nobody's."""
PAUSE_S = 1.0
"""Between two deliveries, so that a session makes no more than one event a second of them."""


class HintLog:
    """A bounded queue with one sender; what is under way is sent again unchanged until it has arrived."""

    def __init__(self, send: Callable[[SpeakerHints], Awaitable[None]], *, pause_s: float = PAUSE_S) -> None:
        """`send` keeps trying while that may help."""
        self.dropped = 0
        """Hints let go for want of room."""
        self._send = send
        self._pause_s = pause_s
        self._waiting: deque[tuple[str, SpeakerHint]] = deque()
        self._next_seq = 0
        self._under_way = 0
        self._grown = asyncio.Event()
        self._emptied = asyncio.Event()
        self._emptied.set()

    def note(self, fact: SpeakerHinted) -> None:
        """Line up a hint."""
        hint = SpeakerHint(
            seq=self._next_seq, from_s=to_s(fact.from_ms), until_s=to_s(fact.until_ms), speaker=fact.speaker
        )
        self._next_seq += 1
        if len(self._waiting) >= MAX_WAITING:
            self._drop_oldest()
        self._waiting.append((fact.evidence, hint))
        self._emptied.clear()
        self._grown.set()

    async def run(self) -> None:
        """Deliver what is lined up, for ever."""
        while True:
            self._grown.clear()
            if not self._waiting:
                self._emptied.set()
                await self._grown.wait()
            told = self._take()
            await self._send(told)
            for _ in told.hints:
                self._waiting.popleft()
            self._under_way = 0
            if self._waiting:
                await asyncio.sleep(self._pause_s)

    async def delivered(self) -> None:
        """Wait until nothing is left to deliver."""
        await self._emptied.wait()

    def _take(self) -> SpeakerHints:
        evidence = self._waiting[0][0]
        alike = takewhile(lambda each: each[0] == evidence, islice(self._waiting, MAX_HINTS))
        told = SpeakerHints(evidence=evidence, hints=tuple(hint for _, hint in alike))
        self._under_way = len(told.hints)
        return told

    def _drop_oldest(self) -> None:
        """Let the oldest go that is not under way."""
        del self._waiting[self._under_way]
        self.dropped += 1
        if self.dropped == 1:
            logger.warning("speaker hints dropped, the bots function has taken none for long")

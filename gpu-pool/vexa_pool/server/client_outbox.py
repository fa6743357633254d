"""What a client is still to be told; of what changes all the time, only the latest."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from vexa_events.errors import Overloaded, VexaError
from vexa_events.stream import Hello, WireSegment, server_segments, server_stored, wire_time
from vexa_events.transcript import Segment
from vexa_pool.streaming.transcript import Hypothesis

MAX_UNSENT = 500
"""Committed segments, or notes, that a client may leave unread before it is dropped."""

SegmentNamer = Callable[[int], str | None]
"""Gives a segment's public id from its number; plain clients have none."""


class Unread(VexaError):
    """Whoever is at the other end does not read; nothing said to it can arrive."""


class ClientOutbox:
    """Collects; its `run` sends. A slow client gets fewer hypotheses, never fewer committed segments."""

    def __init__(self, hello: Hello, *, name_segment: SegmentNamer) -> None:
        self._hello = hello
        self._name_segment = name_segment
        self._notes: deque[str] = deque()
        self._sent: deque[WireSegment] = deque(maxlen=hello.send_last_n_segments)
        self._unsent: list[WireSegment] = []
        self._open: WireSegment | None = None
        self._committed_until_s = 0.0
        self._segments_changed = False
        self._stored_until_s: float | None = None
        self._wanted = asyncio.Event()
        self._idle = asyncio.Event()

    def note(self, message: str) -> None:
        """Queue a message that is said once; raise Overloaded where the client reads nothing."""
        self._check_room(len(self._notes))
        self._notes.append(message)
        self._wake()

    def show(self, committed: Sequence[Segment], hypothesis: Hypothesis | None, *, committed_until_s: float) -> None:
        """Replace what is open and add what is committed; raise Overloaded where the client reads nothing."""
        self._check_room(len(self._unsent))
        self._unsent.extend(self._wire_segment(segment) for segment in committed)
        self._open = self._open_segment(hypothesis) if hypothesis else None
        self._committed_until_s = committed_until_s
        self._segments_changed = bool(self._unsent or self._open)
        self._wake()

    def stored(self, stored_until_s: float) -> None:
        """Tell how far the database has the stream."""
        self._stored_until_s = stored_until_s
        self._wake()

    async def run(self, send: Callable[[str], Awaitable[None]], *, unread_s: float) -> None:
        """Send until cancelled; raise Unread where the client takes nothing for so long."""
        while True:
            for message in self._take():
                try:
                    async with asyncio.timeout(unread_s):
                        await send(message)
                except TimeoutError as exc:
                    raise Unread(f"the client has read nothing for {unread_s:g} s") from exc
            if not self._wanted.is_set():
                self._idle.set()
            await self._wanted.wait()
            self._wanted.clear()

    async def flushed(self) -> None:
        """Wait until everything has been sent."""
        await self._idle.wait()

    def _take(self) -> list[str]:
        messages = list(self._notes)
        self._notes.clear()
        if self._segments_changed:
            messages.append(self._segments())
        if self._stored_until_s is not None:
            messages.append(server_stored(self._hello.uid, self._stored_until_s))
            self._stored_until_s = None
        return messages

    def _segments(self) -> str:
        first_unsent = len(self._sent)
        shown = [*self._sent, *self._unsent]
        surplus = max(0, len(shown) - self._hello.send_last_n_segments)
        shown = shown[min(surplus, first_unsent) :]
        self._sent.extend(self._unsent)
        self._unsent.clear()
        self._segments_changed = False
        if self._open is not None:
            shown.append(self._open)
        return server_segments(self._hello.uid, tuple(shown), committed_until_s=self._committed_until_s)

    def _wire_segment(self, segment: Segment) -> WireSegment:
        words = tuple(
            {"word": word.text, "start": word.start_s, "end": word.end_s, "probability": word.probability}
            for word in segment.words
        )
        return WireSegment(
            start=wire_time(segment.start_s),
            end=wire_time(segment.end_s),
            text=segment.text,
            completed=True,
            segment_id=self._name_segment(segment.seq),
            words=words if self._hello.word_timestamps else None,
        )

    def _open_segment(self, hypothesis: Hypothesis) -> WireSegment:
        return WireSegment(
            start=wire_time(hypothesis.start_s),
            end=wire_time(hypothesis.end_s),
            text=hypothesis.text,
            completed=False,
            segment_id=self._name_segment(hypothesis.seq),
        )

    def _check_room(self, waiting: int) -> None:
        if waiting >= MAX_UNSENT:
            raise Overloaded(f"the client has left {waiting} messages unread")

    def _wake(self) -> None:
        self._idle.clear()
        self._wanted.set()

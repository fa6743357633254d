"""
One stream's audio by position, from what is stored to what was heard last.

Holes take the place of audio that was never captured or had to be dropped, so
a tape has no unexplained interval. No clock, no socket.
"""

from bisect import bisect_right
from collections import deque
from dataclasses import dataclass

from vexa_bot.session_clock import BYTES_PER_MS, to_ms
from vexa_events.errors import InvalidMessage
from vexa_events.identity import MissingReason
from vexa_events.stream import REPLAY_S

REPLAY_MS = to_ms(REPLAY_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class Audio:
    """Samples as heard: int16 little-endian, mono, 16 kHz, whole milliseconds."""

    from_ms: int
    samples: bytes

    @property
    def until_ms(self) -> int:
        return self.from_ms + len(self.samples) // BYTES_PER_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class Hole:
    """An interval without audio, and why."""

    from_ms: int
    until_ms: int
    reason: MissingReason


Piece = Audio | Hole


class Tape:
    """What one stream heard and the database may still lack, plus a little context before that."""

    def __init__(self, start_ms: int) -> None:
        """Start empty; nothing before `start_ms` belongs to the stream."""
        self.start_ms = start_ms
        self.end_ms = start_ms
        self.stored_ms = start_ms
        self.size_bytes = 0
        self.is_finished = False
        self._pieces: deque[Piece] = deque()

    @property
    def is_settled(self) -> bool:
        """Whether capture is over and the database has all of it."""
        return self.is_finished and self.stored_ms >= self.end_ms

    @property
    def oldest_audio_ms(self) -> int | None:
        """Position of the oldest samples held; None where only holes are left."""
        return next((piece.from_ms for piece in self._pieces if isinstance(piece, Audio)), None)

    def append(self, from_ms: int, samples: bytes) -> None:
        """
        Add audio at or after the end; time skipped becomes a hole of unknown reason.

        Raises InvalidMessage where it overlaps what is there, or is not whole milliseconds.
        """
        if from_ms < self.end_ms:
            raise InvalidMessage(f"audio from {from_ms} ms overlaps what was heard until {self.end_ms} ms")
        if not samples or len(samples) % BYTES_PER_MS:
            raise InvalidMessage(f"audio of {len(samples)} bytes is not whole milliseconds")
        self.skip(from_ms, MissingReason.UNKNOWN)
        audio = Audio(from_ms=from_ms, samples=samples)
        self._pieces.append(audio)
        self.size_bytes += len(samples)
        self.end_ms = audio.until_ms

    def skip(self, until_ms: int, reason: MissingReason) -> None:
        """Note that nothing was captured from the end of the tape to `until_ms`; the past is left alone."""
        if until_ms <= self.end_ms:
            return
        from_ms = self.end_ms
        if self._pieces and _is_hole(self._pieces[-1], reason):
            from_ms = self._pieces.pop().from_ms
        self._pieces.append(Hole(from_ms=from_ms, until_ms=until_ms, reason=reason))
        self.end_ms = until_ms

    def finish(self) -> None:
        """Note that capture is over."""
        self.is_finished = True
        self.release(self.stored_ms)

    def release(self, stored_ms: int) -> None:
        """Note how far the database reaches, and let go of what no replay will need."""
        self.stored_ms = max(self.stored_ms, min(stored_ms, self.end_ms))
        kept_ms = self.end_ms if self.is_settled else self.stored_ms - REPLAY_MS
        while self._pieces and self._pieces[0].until_ms <= kept_ms:
            gone = self._pieces.popleft()
            if isinstance(gone, Audio):
                self.size_bytes -= len(gone.samples)

    def drop_oldest(self) -> int:
        """Give up the oldest audio piece; return how many milliseconds the database lacks of it."""
        index = next(index for index, piece in enumerate(self._pieces) if isinstance(piece, Audio))
        piece = self._pieces[index]
        hole = Hole(from_ms=piece.from_ms, until_ms=piece.until_ms, reason=MissingReason.BOT_BUFFER_FULL)
        self.size_bytes -= (piece.until_ms - piece.from_ms) * BYTES_PER_MS
        self._pieces[index] = hole
        if index and _is_hole(self._pieces[index - 1], hole.reason):
            before = self._pieces[index - 1].from_ms
            self._pieces[index] = Hole(from_ms=before, until_ms=hole.until_ms, reason=hole.reason)
            del self._pieces[index - 1]
        return max(0, hole.until_ms - max(hole.from_ms, self.stored_ms))

    def read(self, from_ms: int, *, limit_ms: int) -> Piece | None:
        """
        Return what lies at `from_ms`: at most `limit_ms` of audio, or a whole hole; None at the end.

        What the tape no longer holds is a hole of unknown reason.
        """
        if from_ms >= self.end_ms:
            return None
        held_from_ms = self._pieces[0].from_ms if self._pieces else self.end_ms
        if from_ms < held_from_ms:
            return Hole(from_ms=from_ms, until_ms=held_from_ms, reason=MissingReason.UNKNOWN)
        piece = self._pieces[self._index_at(from_ms)]
        if isinstance(piece, Hole):
            return Hole(from_ms=from_ms, until_ms=piece.until_ms, reason=piece.reason)
        return self._read_audio(from_ms, limit_ms)

    def context_start_ms(self, resume_ms: int) -> int:
        """Find where to start playing so that audio without a hole, at most REPLAY_S of it, leads to `resume_ms`."""
        start_ms = resume_ms
        for piece in reversed(self._pieces):
            if piece.from_ms >= resume_ms:
                continue
            if isinstance(piece, Hole) or piece.until_ms < start_ms:
                break
            start_ms = piece.from_ms
            if start_ms <= resume_ms - REPLAY_MS:
                break
        return max(start_ms, resume_ms - REPLAY_MS)

    def _read_audio(self, from_ms: int, limit_ms: int) -> Audio:
        parts: list[bytes] = []
        position_ms, until_ms = from_ms, from_ms + limit_ms
        for index in range(self._index_at(from_ms), len(self._pieces)):
            piece = self._pieces[index]
            if isinstance(piece, Hole) or position_ms >= until_ms:
                break
            first, last = position_ms - piece.from_ms, min(until_ms, piece.until_ms) - piece.from_ms
            parts.append(piece.samples[first * BYTES_PER_MS : last * BYTES_PER_MS])
            position_ms = piece.from_ms + last
        return Audio(from_ms=from_ms, samples=b"".join(parts))

    def _index_at(self, position_ms: int) -> int:
        return bisect_right(self._pieces, position_ms, key=lambda piece: piece.from_ms) - 1


def _is_hole(piece: Piece, reason: MissingReason) -> bool:
    return isinstance(piece, Hole) and piece.reason is reason

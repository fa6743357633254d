"""All tapes of a session under one bound in bytes."""

from collections.abc import Mapping

from vexa_bot.tape import Tape


class ReplayBuffer:
    """
    Keeps every stream's audio until the database has its text.

    Past the bound the oldest audio of any stream is given up and becomes a
    hole of its tape, so memory is bounded and the loss is on record.
    """

    def __init__(self, *, bytes_per_stream: int, max_bytes: int) -> None:
        """The bound grows with each stream by `bytes_per_stream`, and never past `max_bytes`."""
        self._bytes_per_stream = bytes_per_stream
        self._max_bytes = max_bytes
        self._tapes: dict[str, Tape] = {}
        self.dropped_ms = 0
        """Audio given up before the database had it, over all streams."""

    @property
    def tapes(self) -> Mapping[str, Tape]:
        """The tape of each stream by its stream_uid."""
        return self._tapes

    @property
    def size_bytes(self) -> int:
        return sum(tape.size_bytes for tape in self._tapes.values())

    @property
    def bound_bytes(self) -> int:
        return min(self._max_bytes, self._bytes_per_stream * len(self._tapes))

    def open(self, stream_uid: str, *, start_ms: int) -> Tape:
        """Add the tape of a new stream."""
        tape = self._tapes[stream_uid] = Tape(start_ms)
        return tape

    def append(self, stream_uid: str, from_ms: int, samples: bytes) -> None:
        """Add audio to a tape, and give up what is over the bound."""
        self._tapes[stream_uid].append(from_ms, samples)
        while self.size_bytes > self.bound_bytes:
            self.dropped_ms += self._tape_with_oldest_audio().drop_oldest()

    def _tape_with_oldest_audio(self) -> Tape:
        ages = ((tape.oldest_audio_ms, uid) for uid, tape in self._tapes.items())
        return self._tapes[min((age, uid) for age, uid in ages if age is not None)[1]]

"""
From the tracks of a page to the streams of a session: positions, holes, ends.

Plain values in, facts out. A document's audio context counts samples; this
module lays its clock onto the session's, notices where samples are missing,
and carries streams over to the page that replaces a lost one.
"""

from array import array
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from vexa_bot.browser.inbox import AudioLost
from vexa_bot.browser.page_messages import SAMPLES_PER_MS, AudioChunk
from vexa_bot.capture import AudioHeard, AudioMissed, Fact, StreamEnded, StreamFound
from vexa_bot.session_clock import BYTES_PER_MS
from vexa_events.identity import MissingReason, StreamKind

DRIFT_MS = 100
"""So far may a context's clock fall behind the wall before it is moved on."""
DRIFT_CHUNKS = 10
"""So many chunks in a row must agree on it, since one may just have been late."""
LAG_MS = 1_000
"""
So far may a stream lag behind its clock without a hole. A page that stumbles plays on where it stopped, so nothing is
lost by then: the stream catches up with silence in the next pause, instead of tearing a word.
"""
QUIET = 300
"""The loudest int16 sample of a pause."""
SILENT_AFTER_MS = 5_000
"""A track from which nothing comes for this long is not captured any more."""
SLACK_MS = 1_000
"""What may still be under way while a hole grows."""

TrackId = tuple[str, int]
"""A document and the number of a track in it."""


@dataclass(slots=True)
class _ContextClock:
    zero_ms: int
    """Position of the context's first sample on the session clock."""
    recent_ms: deque[int] = field(default_factory=lambda: deque(maxlen=DRIFT_CHUNKS))

    def place(self, chunk: AudioChunk, measured_zero_ms: int) -> int:
        self.recent_ms.append(measured_zero_ms)
        if len(self.recent_ms) == DRIFT_CHUNKS and min(self.recent_ms) > self.zero_ms + DRIFT_MS:
            self.zero_ms = min(self.recent_ms)
        return self.zero_ms + chunk.first // SAMPLES_PER_MS


@dataclass(slots=True, kw_only=True)
class _Stream:
    key: str
    end_ms: int


class Tracks:
    """The streams of one session."""

    def __init__(self, kind: StreamKind, *, zero_unix_ms: int) -> None:
        """`zero_unix_ms` is the session clock's zero."""
        self._kind = kind
        self._zero_unix_ms = zero_unix_ms
        self._clocks: dict[str, _ContextClock] = {}
        self._streams: dict[TrackId, _Stream] = {}
        self._deaf: set[TrackId] = set()
        """Tracks of which the network side hears what the capture does not."""
        self._orphans: dict[str, _Stream] = {}
        """Streams of a lost page by their speaker's name."""
        self._unnamed_orphans: list[_Stream] = []
        self._found = 0

    @property
    def has_orphans(self) -> bool:
        """Whether a lost page left streams behind that a speaker's new track may continue."""
        return bool(self._orphans)

    def key_of(self, track: TrackId) -> str | None:
        """Return the stream that a track feeds; None while nothing was heard from it."""
        stream = self._streams.get(track)
        return stream.key if stream else None

    def hear(self, chunk: AudioChunk, *, speaker: str | None, is_muted: bool = False) -> Iterator[Fact]:
        """
        Take in samples; a stream begins with the first that is not zero, or is zero by a fault.

        `speaker` is whose track it is, as far as that is known: it finds the
        stream again that a lost page left behind. Zeros of somebody who
        `is_muted` are a hole; any sound is heard, whatever is shown.
        """
        samples = chunk.samples
        position_ms = self._place(chunk, len(samples) // BYTES_PER_MS)
        track = (chunk.doc, chunk.track)
        is_sound = any(samples)
        if is_sound:
            self._deaf.discard(track)
        is_deaf = track in self._deaf
        if track not in self._streams:
            if not (is_sound or is_deaf):
                return
            yield from self._begin(track, max(0, position_ms), speaker)
        why = MissingReason.CAPTURE_SILENT if is_deaf else MissingReason.MUTED if is_muted and not is_sound else None
        yield from _continue(self._streams[track], position_ms, samples, missing_because=why)

    def lose(self, lost: AudioLost, *, speaker: str | None) -> Iterator[Fact]:
        """Note that sound was given up, for want of room; zeros before a stream begins are nothing."""
        track, length_ms = (lost.last.doc, lost.last.track), len(lost.last.samples) // BYTES_PER_MS
        from_ms = self._place(lost.first, len(lost.first.samples) // BYTES_PER_MS)
        until_ms = self._place(lost.last, length_ms) + length_ms
        if track not in self._streams:
            if not lost.has_sound:
                return
            yield from self._begin(track, max(0, from_ms), speaker)
        yield from _miss(self._streams[track], until_ms, MissingReason.BOT_BUFFER_FULL)

    def note_deaf(self, track: TrackId) -> bool:
        """Note that a track is loud and its capture is not; tell whether that is new."""
        is_new = track not in self._deaf
        self._deaf.add(track)
        return is_new

    def owe(self, track: TrackId, from_ms: int, *, speaker: str | None) -> Iterator[Fact]:
        """Begin the stream of a deaf track of which no sample came yet: what it has to say is missing from here on."""
        if track not in self._streams:
            yield from self._begin(track, max(0, from_ms), speaker)

    def end(self, track: TrackId) -> Iterator[Fact]:
        """Note that a track is over."""
        self._deaf.discard(track)
        if stream := self._streams.pop(track, None):
            yield StreamEnded(key=stream.key)

    def silence(self, now_unix_ms: int) -> Iterator[Fact]:
        """Turn into holes what tracks owe that stopped to deliver."""
        now_ms = now_unix_ms - self._zero_unix_ms
        for stream in self._streams.values():
            if now_ms - stream.end_ms > SILENT_AFTER_MS:
                yield from _miss(stream, now_ms - SLACK_MS, MissingReason.CAPTURE_SILENT)

    def lose_page(self, name_by_key: dict[str, str]) -> None:
        """Note that the page is gone; its streams wait for the next one."""
        for stream in self._streams.values():
            name = name_by_key.get(stream.key)
            if name is None or name in self._orphans:
                self._unnamed_orphans.append(stream)
            else:
                self._orphans[name] = stream
        self._streams.clear()
        self._deaf.clear()
        self._clocks.clear()

    def give_up_orphans(self, now_unix_ms: int) -> Iterator[Fact]:
        """End the streams that no track of the new page continues."""
        for stream in (*self._orphans.values(), *self._unnamed_orphans):
            yield from _miss(stream, now_unix_ms - self._zero_unix_ms, MissingReason.PAGE_LOST)
            yield StreamEnded(key=stream.key)
        self._orphans.clear()
        self._unnamed_orphans.clear()

    def _place(self, chunk: AudioChunk, length_ms: int) -> int:
        zero_ms = round(chunk.at) - self._zero_unix_ms - length_ms - chunk.first // SAMPLES_PER_MS
        clock = self._clocks.setdefault(chunk.doc, _ContextClock(zero_ms))
        return clock.place(chunk, zero_ms)

    def _begin(self, track: TrackId, position_ms: int, speaker: str | None) -> Iterator[Fact]:
        if speaker is not None and (orphan := self._orphans.pop(speaker, None)):
            self._streams[track] = orphan
            yield from _miss(orphan, position_ms, MissingReason.PAGE_LOST)
            return
        self._found += 1
        stream = self._streams[track] = _Stream(key=f"track-{self._found}", end_ms=position_ms)
        yield StreamFound(key=stream.key, kind=self._kind, start_ms=position_ms)


def _continue(
    stream: _Stream, position_ms: int, samples: bytes, *, missing_because: MissingReason | None
) -> Iterator[Fact]:
    lag_ms = position_ms - stream.end_ms
    if missing_because is not None:
        yield from _miss(stream, position_ms + len(samples) // BYTES_PER_MS, missing_because)
        return
    if lag_ms > LAG_MS:
        yield from _miss(stream, position_ms, MissingReason.CAPTURE_SILENT)
    elif lag_ms > 0 and _is_pause(samples):
        samples = bytes(lag_ms * BYTES_PER_MS) + samples
    fresh = samples[max(0, -lag_ms) * BYTES_PER_MS :]
    if fresh:
        yield AudioHeard(key=stream.key, from_ms=stream.end_ms, samples=fresh)
        stream.end_ms += len(fresh) // BYTES_PER_MS


def _is_pause(samples: bytes) -> bool:
    values = array("h", samples)
    return not values or (max(values) <= QUIET and min(values) >= -QUIET)


def _miss(stream: _Stream, until_ms: int, reason: MissingReason) -> Iterator[Fact]:
    if until_ms > stream.end_ms:
        yield AudioMissed(key=stream.key, until_ms=until_ms, reason=reason)
        stream.end_ms = until_ms

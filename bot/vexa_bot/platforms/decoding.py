"""Audio files as pieces on their own clock: what sounds where, and where nothing could be read."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import av

from vexa_bot.capture import AttendanceFailed
from vexa_bot.platforms.mixing import Mixer
from vexa_bot.session_clock import BYTES_PER_MS, to_ms
from vexa_bot.tape import Audio, Hole, Piece
from vexa_events.identity import MissingReason

JITTER_S = 0.015
"""Frames that lie closer than this follow one another: containers round their times."""
PRIMING_S = 0.1
"""A start before this is what a codec needs to get going, not a late beginning."""
TAIL_S = 0.05
"""How much of the promised length may be missing: codecs pad their last frame."""
RESTART_S = 1.0
"""A time so far back is a clock that starts anew; a nearer one repeats what was heard."""
MAX_UNTIMED = 64
"""Frames without a time that are held back for the next one that has it."""
ESTIMATED = frozenset({"aac", "mp3"})
"""Formats whose length is guessed from the size of the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    frame: av.AudioFrame
    at_s: float | None
    """Where it begins, when that is not where the one before it ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Clock:
    """What a container says about a track's times, in seconds from the recording's zero."""

    origin_s: float
    """What to subtract from its frames' times."""
    start_s: float
    end_s: float | None


def decode(path: Path) -> Iterator[Piece]:
    """
    Yield a file's audio in order, with a hole wherever its frames leave one or its promised end is not reached; blocks.

    The first piece lies where the track begins. Raises AttendanceFailed where
    the file is not audio, and after the last piece where it cannot be read on.
    """
    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise AttendanceFailed("recording_undecodable", f"{path.name} has no audio")
            yield from _pieces(path, container, container.streams.audio[0])
    except av.FFmpegError as exc:
        raise AttendanceFailed("recording_undecodable", f"{path.name}: {exc.strerror}") from exc


def windows(pieces: Iterable[Piece], *, window_ms: int) -> Iterator[tuple[Piece, ...]]:
    """Yield what lies in each window from zero on, joined where it adjoins; empty before the first piece."""
    until_ms = window_ms
    held: list[Piece] = []
    for piece in pieces:
        rest: Piece | None = piece
        while rest is not None:
            if rest.from_ms >= until_ms:
                yield _joined(held)
                held, until_ms = [], until_ms + window_ms
                continue
            first, rest = _cut(rest, until_ms)
            held.append(first)
    if held:
        yield _joined(held)


def _pieces(path: Path, container: av.container.InputContainer, stream: av.AudioStream) -> Iterator[Piece]:
    clock = _clock(container, stream)
    mixer = Mixer()
    edge_ms, pending, is_empty = to_ms(clock.start_s), bytearray(), True
    for placed in _placed(_frames(container, stream), clock):
        is_empty = False
        if placed.at_s is not None and to_ms(placed.at_s) > edge_ms:
            pending += mixer.flush()
            yield from (last := _rest(pending, edge_ms))
            edge_ms = last[-1].until_ms if last else edge_ms
            yield from (hole := _hole(edge_ms, to_ms(placed.at_s)))
            edge_ms = hole[-1].until_ms if hole else edge_ms
        pending += mixer.mix(placed.frame)
        if whole := len(pending) // BYTES_PER_MS * BYTES_PER_MS:
            audio = Audio(from_ms=edge_ms, samples=bytes(pending[:whole]))
            yield audio
            edge_ms = audio.until_ms
            del pending[:whole]
    if is_empty:
        raise AttendanceFailed("recording_undecodable", f"{path.name} holds no samples")
    pending += mixer.flush()
    yield from (last := _rest(pending, edge_ms))
    edge_ms = last[-1].until_ms if last else edge_ms
    if clock.end_s is not None and clock.end_s - edge_ms / 1_000 > TAIL_S:
        yield from _hole(edge_ms, to_ms(clock.end_s))


def _rest(pending: bytearray, from_ms: int) -> list[Piece]:
    """Take what is left, filled up with silence to a whole millisecond."""
    samples = bytes(pending) + bytes(-len(pending) % BYTES_PER_MS)
    pending.clear()
    return [Audio(from_ms=from_ms, samples=samples)] if samples else []


def _hole(from_ms: int, until_ms: int) -> list[Piece]:
    if until_ms <= from_ms:
        return []
    return [Hole(from_ms=from_ms, until_ms=until_ms, reason=MissingReason.CAPTURE_SILENT)]


def _clock(container: av.container.InputContainer, stream: av.AudioStream) -> _Clock:
    base_s = float(stream.time_base or 0)
    first_s = (stream.start_time or 0) * base_s
    origin_s = first_s if first_s < PRIMING_S else 0.0
    length_s = stream.duration * base_s if stream.duration else (container.duration or 0) / av.time_base
    if not length_s or container.format.name in ESTIMATED:
        return _Clock(origin_s=origin_s, start_s=first_s - origin_s, end_s=None)
    # QuickTime counts a track's length from its first sample, the others from zero.
    end_s = length_s + first_s if container.format.name.startswith("mov") else length_s
    return _Clock(origin_s=origin_s, start_s=first_s - origin_s, end_s=end_s - origin_s)


def _frames(container: av.container.InputContainer, stream: av.AudioStream) -> Iterator[av.AudioFrame]:
    """Yield what can be decoded; a packet that cannot leaves a hole between its neighbours."""
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except av.InvalidDataError:
            continue
        yield from (frame for frame in frames if isinstance(frame, av.AudioFrame) and frame.samples)


def _placed(frames: Iterable[av.AudioFrame], clock: _Clock) -> Iterator[_Frame]:
    """
    Tell of each frame whether it follows the one before it.

    Frames without a time count only where they fill the way to the next one
    that has it: a decoder that searches for its place yields noise.
    """
    edge_s = clock.start_s
    untimed: list[av.AudioFrame] = []
    for frame in frames:
        if frame.time is None and len(untimed) < MAX_UNTIMED:
            untimed.append(frame)
            continue
        at_s = None if frame.time is None else frame.time - clock.origin_s
        untimed_s = sum(map(_length_s, untimed))
        if at_s is None or abs(edge_s + untimed_s - at_s) <= JITTER_S:
            yield from (_Frame(frame=one, at_s=None) for one in untimed)
            edge_s += untimed_s
        untimed.clear()
        if at_s is not None and not _is_believable(at_s, edge_s, clock):
            continue
        jump_s = at_s if at_s is not None and at_s - edge_s > JITTER_S else None
        yield _Frame(frame=frame, at_s=jump_s)
        edge_s = (edge_s if jump_s is None else jump_s) + _length_s(frame)
    yield from (_Frame(frame=one, at_s=None) for one in untimed)


def _is_believable(at_s: float, edge_s: float, clock: _Clock) -> bool:
    """Tell a frame's own place from a repetition, and from a time that damage made up."""
    if edge_s - RESTART_S < at_s < edge_s - JITTER_S:
        return False
    return clock.end_s is None or at_s <= clock.end_s + TAIL_S


def _length_s(frame: av.AudioFrame) -> float:
    return frame.samples / frame.sample_rate


def _cut(piece: Piece, at_ms: int) -> tuple[Piece, Piece | None]:
    if piece.until_ms <= at_ms:
        return piece, None
    if isinstance(piece, Hole):
        return replace(piece, until_ms=at_ms), replace(piece, from_ms=at_ms)
    size = (at_ms - piece.from_ms) * BYTES_PER_MS
    return replace(piece, samples=piece.samples[:size]), Audio(from_ms=at_ms, samples=piece.samples[size:])


def _joined(pieces: list[Piece]) -> tuple[Piece, ...]:
    starts = [
        index
        for index, (before, piece) in enumerate(pairwise([None, *pieces]))
        if not (isinstance(before, Audio) and isinstance(piece, Audio))
    ]
    return tuple(_join(pieces[first:last]) for first, last in pairwise([*starts, len(pieces)]))


def _join(pieces: list[Piece]) -> Piece:
    samples = b"".join(piece.samples for piece in pieces if isinstance(piece, Audio))
    return Audio(from_ms=pieces[0].from_ms, samples=samples) if samples else pieces[0]

"""A recorded meeting: its folder, its tracks and their samples. Only audio files are ever opened."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av

from vexa_bot.capture import AttendanceFailed
from vexa_bot.session_clock import BYTES_PER_MS
from vexa_events.identity import StreamKind
from vexa_events.stream import SAMPLE_RATE_HZ

AUDIO_SUFFIXES = frozenset({".aac", ".flac", ".m4a", ".mp3", ".oga", ".ogg", ".opus", ".wav", ".webm"})
TRACK_PREFIX = "track-"
MIXED = "mixed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """One file: a participant's audio, or everybody's."""

    path: Path
    kind: StreamKind
    speaker: str | None


def find_tracks(root: Path, name: str) -> tuple[Track, ...]:
    """
    List the tracks of the recording `name`, ordered by file name; raise AttendanceFailed where there is none.

    Files called track-<speaker> are the tracks; without any, every audio file
    is one, and a mix counts only where it is alone.
    """
    if name != Path(name).name or name in {".", ".."} or "\\" in name or "\x00" in name:
        raise AttendanceFailed("recording_not_found", f"{name!r} is not the name of a folder")
    folder = root / name
    if not folder.is_dir():
        raise AttendanceFailed("recording_not_found", f"there is no recording {name!r}")
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in AUDIO_SUFFIXES and path.is_file())
    named = [path for path in files if path.name.startswith(TRACK_PREFIX)]
    plain = [path for path in files if path.stem != MIXED]
    tracks = tuple(_track(path) for path in named or plain or files)
    if not tracks:
        raise AttendanceFailed("recording_without_tracks", f"recording {name!r} has no audio file")
    return tracks


def decode(path: Path, *, chunk_ms: int) -> Iterator[bytes]:
    """
    Yield a file's samples as int16 mono 16 kHz chunks; blocks.

    The last chunk is shorter, filled up with silence to a whole millisecond.
    Raises AttendanceFailed where the file is not audio.
    """
    chunk_bytes = chunk_ms * BYTES_PER_MS
    pending = bytearray()
    for samples in _resampled(path):
        pending += samples
        while len(pending) >= chunk_bytes:
            yield bytes(pending[:chunk_bytes])
            del pending[:chunk_bytes]
    if pending:
        yield bytes(pending) + bytes(-len(pending) % BYTES_PER_MS)


def _track(path: Path) -> Track:
    name = path.stem.removeprefix(TRACK_PREFIX)
    if name == MIXED:
        return Track(path=path, kind=StreamKind.MIXED, speaker=None)
    words = name.replace("_", " ").split()
    speaker = " ".join(word[0].upper() + word[1:] for word in words)
    return Track(path=path, kind=StreamKind.PARTICIPANT, speaker=speaker or None)


def _resampled(path: Path) -> Iterator[bytes]:
    resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE_HZ)
    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise AttendanceFailed("recording_undecodable", f"{path.name} has no audio")
            frame = None
            for frame in container.decode(container.streams.audio[0]):
                yield from map(_samples, resampler.resample(frame))
            if frame is None:
                raise AttendanceFailed("recording_undecodable", f"{path.name} holds no samples")
            yield from map(_samples, resampler.resample(None))
    except av.FFmpegError as exc:
        raise AttendanceFailed("recording_undecodable", f"{path.name}: {exc.strerror}") from exc


def _samples(frame: av.AudioFrame) -> bytes:
    # A plane may be longer than its samples: the decoder aligns it.
    return bytes(frame.planes[0])[: frame.samples * 2]

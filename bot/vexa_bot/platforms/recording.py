"""A recorded meeting: its folder and its tracks. Only audio files are ever opened."""

from dataclasses import dataclass
from pathlib import Path

from vexa_bot.capture import AttendanceFailed
from vexa_events.identity import StreamKind

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


def _track(path: Path) -> Track:
    name = path.stem.removeprefix(TRACK_PREFIX)
    if name == MIXED:
        return Track(path=path, kind=StreamKind.MIXED, speaker=None)
    words = name.replace("_", " ").split()
    speaker = " ".join(word[0].upper() + word[1:] for word in words)
    return Track(path=path, kind=StreamKind.PARTICIPANT, speaker=speaker or None)

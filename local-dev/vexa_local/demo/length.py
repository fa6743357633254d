"""How long a recording plays, for the progress bar alone: whether it can be heard, the bot judges."""

from pathlib import Path

import av

from vexa_bot.capture import AttendanceFailed
from vexa_bot.platforms.recording import find_tracks


def recording_length_s(replay_dir: Path, meeting: str) -> float | None:
    """Return the length of the longest track in seconds, as its container tells it; None where none does."""
    try:
        lengths = [_length_s(track.path) for track in find_tracks(replay_dir, meeting)]
    except AttendanceFailed:
        return None
    return max((length_s for length_s in lengths if length_s is not None), default=None)


def _length_s(file: Path) -> float | None:
    try:
        with av.open(str(file)) as container:
            return None if container.duration is None else container.duration / av.time_base
    except (av.FFmpegError, OSError):
        return None

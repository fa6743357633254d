"""Positions on the session clock, which the bot counts in whole milliseconds."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from vexa_events.stream import SAMPLE_RATE_HZ, AudioFormat

BYTES_PER_MS = SAMPLE_RATE_HZ // 1_000 * AudioFormat.INT16.sample_bytes
"""Size of one millisecond of int16 mono audio at 16 kHz."""


def to_ms(position_s: float) -> int:
    """Read a position that came from another room."""
    return round(position_s * 1_000)


def to_s(position_ms: int) -> float:
    """Spell a position for another room."""
    return position_ms / 1_000


def steady_s() -> float:
    """Count seconds on when the wall clock is set, and, where the system can, while it sleeps."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class WallClock:
    """The wall clock as it would be had nobody set it since; pages stamp with the one that is set."""

    def __init__(self, *, wall: Callable[[], float] = time.time, steady: Callable[[], float] = steady_s) -> None:
        """Both tell seconds."""
        self._wall = wall
        self._steady = steady
        self._ahead_s = wall() - steady()

    def now_unix_ms(self) -> int:
        """Tell what time it is."""
        return round((self._steady() + self._ahead_s) * 1_000)

    def unset_ms(self, unix_ms: float) -> float:
        """Tell when something was that was stamped just now."""
        return unix_ms - (self._wall() - self._steady() - self._ahead_s) * 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionClock:
    """Where a session's zero lies on the wall clock and on the monotonic one."""

    zero_at: datetime
    zero_monotonic_s: float

    def wait_s(self, position_ms: int, *, now_s: float) -> float:
        """Tell how long after `now_s` (monotonic) the position is reached; 0 where it has passed."""
        return max(0.0, self.zero_monotonic_s + to_s(position_ms) - now_s)

"""Positions on the session clock as whole samples; seconds exist only at the edges."""

from vexa_events.fields import at_clock_step
from vexa_events.stream import SAMPLE_RATE_HZ

FRAME_SAMPLES = 512
"""The voice detector judges audio in frames of this many samples (32 ms)."""


def samples_in(duration_s: float) -> int:
    """Convert a duration, or a position, to the nearest whole sample."""
    return round(duration_s * SAMPLE_RATE_HZ)


def seconds_at(position: int) -> float:
    """Convert a position to seconds, in whole milliseconds."""
    return at_clock_step(position / SAMPLE_RATE_HZ)

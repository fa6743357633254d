"""
What a platform tells about the meeting it attends, and the interface of a platform.

A platform decides nothing about storage or transcription: it yields facts, in
the order in which they became known, with positions in milliseconds on the
session clock.
"""

from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from vexa_bot.lifecycle import Ending
from vexa_events.errors import VexaError
from vexa_events.identity import MissingReason, StreamKind

NOBODY = "Speaker A"
"""The name of whoever is heard in a stream that nothing gives a name."""
LONGEST_HINT_MS = 5_000
"""Whoever speaks longer is told in several hints, so that the words have their names while they are fresh."""


class AttendanceFailed(VexaError):
    """The meeting cannot be attended, or no longer."""

    def __init__(self, reason: str, evidence: str) -> None:
        """`reason` is a short code, `evidence` what was seen."""
        super().__init__(f"{reason}: {evidence}")
        self.reason = reason
        self.evidence = evidence


@dataclass(frozen=True, slots=True)
class AwaitingAdmission:
    """The bot waits until somebody lets it in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """The bot is in the meeting; `at` is the clock's zero."""

    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeakerLearnt:
    """Somebody's name belongs to a stream; a later one is better."""

    key: str
    speaker: str
    evidence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeakerHinted:
    """
    Somebody was shown as speaking, whichever stream it is heard in; at most LONGEST_HINT_MS long.

    Others may have been shown in the same moments.
    """

    from_ms: int
    until_ms: int
    speaker: str
    evidence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamFound:
    """A stream begins; `key` is the platform's own name for it, and ends any stream that bore it."""

    key: str
    kind: StreamKind
    start_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioHeard:
    """Samples of a stream: int16 little-endian, mono, 16 kHz, whole milliseconds, never out of order."""

    key: str
    from_ms: int
    samples: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioMissed:
    """A stream has no audio from where it last ended to `until_ms`."""

    key: str
    until_ms: int
    reason: MissingReason


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamEnded:
    """Nothing follows in this stream."""

    key: str


Fact = (
    AwaitingAdmission
    | Admitted
    | StreamFound
    | SpeakerLearnt
    | SpeakerHinted
    | AudioHeard
    | AudioMissed
    | StreamEnded
    | Ending
)
"""An ending comes last, where another reason than the meeting's end is known."""


class Platform(Protocol):
    """One way to attend a meeting."""

    def attend(self) -> AsyncGenerator[Fact, None]:
        """
        Join and yield facts until the meeting ends; closing the generator leaves the meeting.

        Raises AttendanceFailed.
        """

    def rest(self) -> Iterable[Fact]:
        """Tell what was still going on when attending was cut short; nothing once it has been told."""

"""
The speech gate: voice probabilities in, utterances out.

An utterance ends at a pause. How long a pause must be shrinks as the utterance
grows, so that short sentences keep their context and long speech still breaks.
"""

from collections import deque
from dataclasses import dataclass

from vexa_pool.streaming.clock import FRAME_SAMPLES, samples_in

VOICE_STARTS_AT = 0.5
VOICE_ENDS_BELOW = 0.35
PAD = samples_in(0.4)
"""Kept around speech: the detector is late at both ends, and the model hears better with an edge of silence."""
LONGEST_PAUSE_S = 0.9
SHORTEST_PAUSE_S = 0.3
EASY_UNTIL_S = 8.0
"""Up to this length only the longest pause ends an utterance."""
STRICT_FROM_S = 14.0
"""From this length on the shortest pause does."""
LEAST_VOICED_FRAMES = 3
"""Less voice than this (96 ms) is a click; the shortest answers have more."""
HISTORY_FRAMES = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Utterance:
    """Closed speech; positions in samples."""

    start: int
    speech_end: int
    """Where voice ends."""
    end: int
    """Where the padding after it ends."""


@dataclass(slots=True, kw_only=True)
class OpenSpeech:
    """Speech that goes on, or whose pause is still too short; positions in samples."""

    start: int
    voiced_frames: int
    quiet_since: int | None = None

    @property
    def is_speech(self) -> bool:
        return self.voiced_frames >= LEAST_VOICED_FRAMES


class SpeechGate:
    """Follows one stream frame by frame; deterministic in the frames alone."""

    def __init__(self, origin: int) -> None:
        """`origin` is the position of the first frame, in samples."""
        self._position = origin
        self._edge = origin
        self._open: OpenSpeech | None = None
        self._history: deque[tuple[int, float]] = deque(maxlen=HISTORY_FRAMES)

    @property
    def position(self) -> int:
        """Position after the newest frame."""
        return self._position

    @property
    def open(self) -> OpenSpeech | None:
        """The utterance that has not ended yet."""
        return self._open

    @property
    def decided_until(self) -> int:
        """No utterance that is still to come reaches back before this."""
        if self._open is not None:
            return self._open.start
        return max(self._edge, self._position - PAD)

    def push(self, probability: float) -> Utterance | None:
        """Judge the next frame; return the utterance that it ends, if it ends one."""
        frame_start = self._position
        self._position += FRAME_SAMPLES
        self._history.append((frame_start, probability))
        if probability >= VOICE_STARTS_AT:
            self._hear_voice(frame_start)
            return None
        if self._open is None:
            return None
        return self._hear_quiet(self._open, frame_start, probability)

    def close(self, at: int) -> Utterance | None:
        """End whatever is open: the audio stops at `at`."""
        if self._open is None:
            self._edge = max(self._edge, at)
            return None
        return self._end(self._open, speech_end=self._open.quiet_since or at, limit=at)

    def resume(self, at: int) -> None:
        """Go on at a later position, after a hole in the audio."""
        self._position = self._edge = at
        self._open = None
        self._history.clear()

    def quietest(self, start: int, end: int) -> int:
        """Return the middle of the least voiced frame of an interval; of several, the latest."""
        inside = [(probability, -at) for at, probability in self._history if start <= at < end]
        return -min(inside)[1] + FRAME_SAMPLES // 2 if inside else end

    def _hear_voice(self, frame_start: int) -> None:
        if self._open is None:
            self._open = OpenSpeech(start=max(self._edge, frame_start - PAD), voiced_frames=0)
        self._open.voiced_frames += 1
        self._open.quiet_since = None

    def _hear_quiet(self, speech: OpenSpeech, frame_start: int, probability: float) -> Utterance | None:
        if speech.quiet_since is None:
            if probability >= VOICE_ENDS_BELOW:
                return None
            speech.quiet_since = frame_start
        pause = self._position - speech.quiet_since
        if pause < samples_in(pause_that_ends_s((speech.quiet_since - speech.start) / samples_in(1.0))):
            return None
        return self._end(speech, speech_end=speech.quiet_since, limit=self._position)

    def _end(self, speech: OpenSpeech, *, speech_end: int, limit: int) -> Utterance | None:
        self._open = None
        if not speech.is_speech:
            return None
        self._edge = min(speech_end + PAD, limit)
        return Utterance(start=speech.start, speech_end=speech_end, end=self._edge)


def pause_that_ends_s(length_s: float) -> float:
    """Return how long a pause must be to end an utterance of a given length."""
    share = min(1.0, max(0.0, (length_s - EASY_UNTIL_S) / (STRICT_FROM_S - EASY_UNTIL_S)))
    return LONGEST_PAUSE_S + share * (SHORTEST_PAUSE_S - LONGEST_PAUSE_S)

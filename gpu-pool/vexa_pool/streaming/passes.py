"""
Which decodes commit: one at the end of each utterance, and checkpoints at fixed lengths of speech that goes on.

Where they lie depends on the audio alone.
"""

from collections import deque
from dataclasses import dataclass

from vexa_pool.streaming.clock import samples_in
from vexa_pool.streaming.gate import SpeechGate, Utterance

FIRST_CHECKPOINT = samples_in(3.5)
CHECKPOINT_EVERY = samples_in(1.75)
SOON = samples_in(0.4)
FORCE_KEEPS = samples_in(1.5)
FORCE_SEARCHES = samples_in(4.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """A committing decode that waits for its turn; positions in samples."""

    start: int
    speech_end: int
    end: int
    is_final: bool
    weakest: int = 0
    """Where the voice is weakest near the end of a checkpoint."""


class Passes:
    """Those that wait, oldest first."""

    def __init__(self) -> None:
        self._waiting: deque[Pass] = deque()
        self._next_checkpoint = FIRST_CHECKPOINT

    def __bool__(self) -> bool:
        return bool(self._waiting)

    @property
    def oldest(self) -> Pass:
        return self._waiting[0]

    def take(self) -> Pass:
        """Take the oldest."""
        return self._waiting.popleft()

    def restart(self) -> None:
        """The next speech has nothing to do with what came before."""
        self._next_checkpoint = FIRST_CHECKPOINT

    def add_final(self, utterance: Utterance) -> None:
        """Commit an utterance as a whole."""
        self._waiting.append(
            Pass(start=utterance.start, speech_end=utterance.speech_end, end=utterance.end, is_final=True)
        )

    def add_checkpoint(self, gate: SpeechGate) -> Pass | None:
        """Commit what is agreed on in open speech, where it has become long enough and is not pausing."""
        speech, here = gate.open, gate.position
        if speech is None or speech.quiet_since is not None or here - speech.start < self._next_checkpoint:
            return None
        self._next_checkpoint += CHECKPOINT_EVERY
        weakest = gate.quietest(here - FORCE_KEEPS - FORCE_SEARCHES, here - FORCE_KEEPS)
        self._waiting.append(Pass(start=speech.start, speech_end=here, end=here, is_final=False, weakest=weakest))
        return self._waiting[-1]

    def comes_soon(self, gate: SpeechGate) -> bool:
        """Tell whether speech that goes on reaches a checkpoint so soon that a look at it now is not worth it."""
        speech = gate.open
        if speech is None or speech.quiet_since is not None:
            return False
        return gate.position - speech.start > self._next_checkpoint - SOON

    def drop_until(self, position: int) -> None:
        """Forget those that end at or before a position."""
        while self._waiting and self._waiting[0].end <= position:
            self._waiting.popleft()

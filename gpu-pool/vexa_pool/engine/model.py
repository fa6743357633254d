"""What the scheduler needs of a model; the real one and its scripted twin both give it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from vexa_events.identity import Task
from vexa_pool.streaming.audio import Samples
from vexa_pool.streaming.window import Transcription, Window


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeRequest:
    """One window and how to decode it."""

    window: Window
    language: str | None
    """None lets the model detect it."""
    task: Task
    prompt: str = ""
    """Words as if they stood before the window: they sway spelling and style."""
    temperature: float = 0.0
    """Over 0 words are drawn by chance; the same for all requests of one call."""


class Model(Protocol):
    """Speech to words."""

    @property
    def decode_batch(self) -> int:
        """How many windows are best decoded at once."""

    def check(self, language: str | None, task: Task) -> None:
        """Raise InvalidMessage where the model cannot do this."""

    def transcribe(self, requests: Sequence[DecodeRequest]) -> list[Transcription]:
        """Decode windows of one encoder length; blocking, safe from several threads."""


class Detector(Protocol):
    """Voice or not, frame by frame, over one stream."""

    def reset(self) -> None:
        """Forget everything heard."""

    def probabilities(self, samples: Samples) -> list[float]:
        """Judge every frame that these samples complete; blocking."""

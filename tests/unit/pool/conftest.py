"""A way to play scripted audio through a session, as the server would, without one."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import pytest

from vexa_events.identity import Task
from vexa_events.transcript import Segment
from vexa_pool.engine.model import DecodeRequest
from vexa_pool.engine.scripted import LevelDetector, ScriptedModel
from vexa_pool.streaming.audio import Samples
from vexa_pool.streaming.batches import CommittedBatch
from vexa_pool.streaming.session import Session
from vexa_pool.streaming.transcript import Hypothesis


@dataclass
class Played:
    """What came out of a session."""

    segments: list[Segment] = field(default_factory=list)
    batches: list[CommittedBatch] = field(default_factory=list)
    hypotheses: list[Hypothesis] = field(default_factory=list)

    @property
    def text(self) -> str:
        return " ".join(segment.text for segment in self.segments)


Play = Callable[..., Played]


@pytest.fixture
def play() -> Play:
    return _play


def _play(
    session: Session, model: ScriptedModel, audio: Samples, chunks: Iterable[int], *, finish: bool = True
) -> Played:
    played, detector, at = Played(), LevelDetector(), 0
    for size in chunks:
        piece = audio[at : at + size]
        at += size
        session.feed(piece, detector.probabilities(piece))
        decode_all(session, model, played)
    rest = audio[at:]
    session.feed(rest, detector.probabilities(rest))
    decode_all(session, model, played)
    if finish:
        session.finish()
        decode_all(session, model, played)
    return played


def decode_all(session: Session, model: ScriptedModel, played: Played) -> None:
    """Commit what needs no decode, then decode until nothing is due."""
    if (settled := session.settle()) is not None:
        played.segments += settled.committed
    played.batches += session.take_batches()
    while session.due():
        decode_once(session, model, played)


def decode_once(session: Session, model: ScriptedModel, played: Played) -> None:
    """Decode the window that is due, if one is."""
    if not session.due():
        return
    request = DecodeRequest(window=session.take_window(), language=None, task=Task.TRANSCRIBE)
    update = session.apply(model.transcribe([request])[0])
    played.segments += update.committed
    if update.hypothesis is not None:
        played.hypotheses.append(update.hypothesis)
    played.batches += session.take_batches()


def every(size: int, audio: Samples) -> Sequence[int]:
    """Cut audio into chunks of one size."""
    return [size] * (audio.size // size)

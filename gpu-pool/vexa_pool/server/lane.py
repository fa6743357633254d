"""Carries one session's windows to the scheduler and its results to whoever shows or stores them."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from vexa_events.callbacks import Gap
from vexa_events.errors import VexaError
from vexa_events.identity import Task
from vexa_events.transcript import Span
from vexa_pool.engine.model import DecodeRequest
from vexa_pool.server.lag import HeldBack
from vexa_pool.server.language_choice import LanguageChoice
from vexa_pool.streaming.audio import Samples
from vexa_pool.streaming.batches import CommittedBatch
from vexa_pool.streaming.session import Due, Session, Update
from vexa_pool.streaming.window import Transcription


class Audience(Protocol):
    """Whoever wants a stream's results."""

    def language(self, language: str, probability: float) -> None:
        """The language was detected; said once."""

    def update(self, update: Update, *, committed_until_s: float) -> None:
        """The words changed."""

    def batches(self, batches: Sequence[CommittedBatch]) -> None:
        """Intervals are decided."""

    def shed(self, span: Span) -> None:
        """Audio was given up."""


class StreamLane:
    """One stream in the scheduler; ends with a fault, or drained."""

    def __init__(self, session: Session, audience: Audience, *, language: str | None, task: Task, tenant: str) -> None:
        """Streams of one `tenant` share its part of the model's time."""
        self.session = session
        self.tenant = tenant
        self.held_back = HeldBack()
        self._audience = audience
        self._language = LanguageChoice(language)
        self._task = task
        self._fault: VexaError | None = None
        self._changed = asyncio.Event()

    def feed(self, samples: Samples, probabilities: Sequence[float]) -> None:
        """Add audio with its voice probabilities."""
        self.session.feed(samples, probabilities)
        self._hand_on_batches()

    def gap(self, gap: Gap) -> None:
        """Jump over an interval without audio; raise InvalidMessage where it lies in the past."""
        self.session.gap(gap)
        self._hand_on_batches()

    def finish(self) -> None:
        """Nothing follows."""
        self.session.finish()
        self._hand_on_batches()

    @property
    def lag_s(self) -> float:
        """How far the committed text is behind the speaker."""
        return self.session.backlog_s + self.held_back.seconds

    def shed_beyond(self, most_lag_s: float) -> None:
        """Give up the oldest audio until the stream is not further behind than this."""
        while self.lag_s > most_lag_s and (span := self.session.shed_oldest()) is not None:
            self._audience.shed(span)
            self._audience.update(
                Update(committed=(), hypothesis=None), committed_until_s=self.session.committed_until_s
            )
            self._hand_on_batches()

    def due(self) -> Due | None:
        """Describe the window that is due; None where none is."""
        return self.session.due()

    def next_request(self) -> DecodeRequest:
        """Take the window that is due."""
        window = self.session.take_window()
        return DecodeRequest(window=window, language=self._language.settled, task=self._task)

    def apply(self, heard: Transcription) -> None:
        """Take in the words of that window."""
        self._hand_on(self.session.apply(heard))
        self._hand_on_batches()

    def fail(self, error: Exception) -> None:
        """End the stream."""
        self._fault = error if isinstance(error, VexaError) else VexaError(str(error))
        self._changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something about the stream is true; raise the fault that ends it."""
        while True:
            if self._fault is not None:
                raise self._fault
            if condition():
                return
            self._changed.clear()
            await self._changed.wait()

    def changed(self) -> None:
        """Say that a condition may have become true."""
        self._changed.set()

    def _learn_language(self, heard: Transcription | None) -> None:
        """Settle on a language by committing windows, which are long, that have words."""
        if heard is None or not heard.words:
            return
        if self._language.hear(heard.language, heard.language_probability):
            self._audience.language(heard.language, heard.language_probability)

    def _hand_on(self, update: Update) -> None:
        self._learn_language(update.heard)
        self._audience.update(update, committed_until_s=self.session.committed_until_s)

    def _hand_on_batches(self) -> None:
        if (settled := self.session.settle()) is not None:
            self._hand_on(settled)
        if batches := self.session.take_batches():
            self._audience.batches(batches)
        self._changed.set()

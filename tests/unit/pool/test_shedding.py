"""What is given up where a stream is too far behind, and how that is written down."""

from hypothesis import given, settings
from hypothesis import strategies as st

from vexa_events.identity import MissingReason
from vexa_events.transcript import Segment, Span, SpanKind
from vexa_pool.engine.scripted import LevelDetector, ScriptedModel, ScriptedWord, spell
from vexa_pool.server.lag import HeldBack
from vexa_pool.streaming.batches import CommittedBatch
from vexa_pool.streaming.session import Session

from .conftest import Played, decode_all, decode_once


def speech(*, pauses: bool) -> tuple[tuple[ScriptedWord, ...], float]:
    """Forty words, with a pause after each fifth or none at all."""
    words, at_s = [], 0.5
    for n in range(40):
        words.append(ScriptedWord(text=f"w{n}", start_s=at_s, end_s=at_s + 0.35))
        at_s += 2.0 if pauses and n % 5 == 4 else 0.4
    return tuple(words), at_s + 1.0


def missing(batches: list[CommittedBatch]) -> list[Span]:
    return [span for batch in batches for span in batch.spans if span.kind is SpanKind.MISSING]


def inside(span: Span, segment: Segment) -> bool:
    return segment.start_s < span.until_s and segment.end_s > span.from_s


@settings(max_examples=60, deadline=None)
@given(pauses=st.booleans(), decodes=st.lists(st.integers(0, 3), min_size=1, max_size=12))
def test_what_is_shed_is_exactly_what_the_ledger_says(pauses: bool, decodes: list[int]) -> None:
    """Each word is stored or lies in a missing span, and no stored segment reaches into one."""
    words, length_s = speech(pauses=pauses)
    model, session, played = ScriptedModel(words), Session(), Played()
    audio = spell(words, length_s=length_s)
    session.feed(audio, LevelDetector().probabilities(audio))
    session.finish()

    shed = []
    for count in decodes:
        for _ in range(count):
            decode_once(session, model, played)
        if (span := session.shed_oldest()) is not None:
            shed.append(span)
            played.batches += session.take_batches()
    decode_all(session, model, played)

    spans = missing(played.batches)
    assert round(sum(s.until_s - s.from_s for s in spans), 3) == round(sum(s.until_s - s.from_s for s in shed), 3)
    assert all(span.reason is MissingReason.OVERLOAD for span in spans)
    assert not [segment for segment in played.segments for span in spans if inside(span, segment)]
    stored = set(played.text.split())
    lost = {word.text for word in words if any(word.start_s < s.until_s and word.end_s > s.from_s for s in spans)}
    assert stored | lost >= {word.text for word in words}
    assert played.batches[-1].until_s == round(length_s, 3)


def test_nothing_is_shed_where_nothing_waits() -> None:
    """A stream that keeps up loses nothing."""
    session = Session()
    session.feed(spell((), length_s=5.0), [0.0] * 156)

    assert session.shed_oldest() is None


def test_audio_being_decoded_is_not_shed() -> None:
    """Its words are about to come."""
    words, length_s = speech(pauses=True)
    audio, session = spell(words, length_s=length_s), Session()
    session.feed(audio, LevelDetector().probabilities(audio))
    session.take_window()

    assert session.shed_oldest() is None


def test_a_sender_that_is_let_wait_holds_back_what_is_spoken_meanwhile() -> None:
    """Until it has sent it, faster than it is spoken."""
    held = HeldBack()

    held.unread(30.0)
    held.received(10.0, waited_s=0.1)
    afterwards = held.seconds
    held.received(1.0, waited_s=1.0)

    assert afterwards == 30.0 - 9.9
    assert held.seconds == 0.0

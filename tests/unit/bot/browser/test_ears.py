"""What a session concludes from what its pages tell."""

import base64
import json
import logging
import time
from datetime import UTC, datetime

import pytest

from vexa_bot.browser.ears import DEAF_LOOKS, HELD_CHUNKS, Ears
from vexa_bot.browser.page_messages import SAMPLES_PER_MS, AudioChunk, PageFacts, TrackFacts
from vexa_bot.browser.snapshot import Snapshot
from vexa_bot.capture import AudioHeard, AudioMissed, Fact, SpeakerLearnt, StreamFound
from vexa_bot.platforms.janus import JanusSite
from vexa_bot.session_clock import WallClock
from vexa_events.identity import MissingReason

DOC, NEXT_DOC = "a" * 16, "b" * 16
TONE, SILENCE = b"\x01\x02" * SAMPLES_PER_MS, bytes(2 * SAMPLES_PER_MS)
NOW = Snapshot()


@pytest.fixture
def ears() -> Ears:
    """A session that begins now."""
    return Ears(JanusSite("http://localhost/"), zero_at=datetime.now(UTC))


def _chunk(number: int, *, sound: bytes = TONE, doc: str = DOC) -> AudioChunk:
    at = time.time() * 1_000 + 200 * (number + 1)
    pcm = base64.b64encode(sound * 200).decode()
    return AudioChunk(kind="audio", doc=doc, track=1, first=200 * number * SAMPLES_PER_MS, at=at, pcm=pcm)


def _facts(*, doc: str = DOC, level: float = 0.1, peak: float = 0.1, owner: str | None = None) -> PageFacts:
    return PageFacts(
        kind="facts",
        doc=doc,
        context="running",
        tracks=(TrackFacts(number=1, level=level, peak=peak),),
        owners={1: owner} if owner else {},
    )


def _of_kind(facts: list[Fact], kind: type) -> list[Fact]:
    return [fact for fact in facts if isinstance(fact, kind)]


@pytest.mark.parametrize("set_by_s", [-3_600.0, -1.0, 1.0, 3_600.0])
def test_a_wall_clock_that_is_set_moves_no_sound(set_by_s: float) -> None:
    """Nor makes a hole, in this page or in the one that replaces it; what was stamped before it was set comes first."""
    now = {"wall": 1_000_000.0, "steady": 5.0}
    clock = WallClock(wall=lambda: now["wall"], steady=lambda: now["steady"])
    ears = Ears(JanusSite("http://localhost/"), zero_at=datetime.fromtimestamp(now["wall"], UTC), clock=clock)
    facts: list[Fact] = []

    for number in range(40):
        now["wall"] += 0.2 + (set_by_s if number == 10 else 0.0)
        now["steady"] += 0.2
        heard = {"doc": DOC if number < 30 else NEXT_DOC, "track": 1, "at": now["wall"] * 1_000}
        facts += ears.hear(_chunk(number).model_copy(update=heard))
        facts += ears.look([_facts()], NOW)

    starts = [fact.from_ms for fact in _of_kind(facts, AudioHeard) if isinstance(fact, AudioHeard)]
    assert starts == [200 * number for number in range(40)]
    assert _of_kind(facts, AudioMissed) == []


def test_a_panels_name_is_the_streams(ears: Ears) -> None:
    """Once there is a stream."""
    assert list(ears.look([_facts(owner="Joe")], NOW)) == []
    (found, _) = ears.hear(_chunk(0))

    (learnt,) = ears.look([_facts(owner="Joe")], NOW)

    assert isinstance(found, StreamFound)
    assert isinstance(learnt, SpeakerLearnt)
    assert (learnt.key, learnt.speaker) == (found.key, "Joe")
    assert ears.is_loud


def test_a_capture_that_hears_nothing_of_a_loud_track_is_a_fault(ears: Ears, caplog: pytest.LogCaptureFixture) -> None:
    """Its zeros are missing audio from then on, and the log says so once."""
    list(ears.hear(_chunk(0)))
    for _ in range(DEAF_LOOKS + 3):
        list(ears.look([_facts(level=0.1, peak=0.0)], NOW))

    deaf = list(ears.hear(_chunk(1, sound=SILENCE)))

    assert [fact.reason for fact in deaf if isinstance(fact, AudioMissed)] == [MissingReason.CAPTURE_SILENT]
    assert _of_kind(deaf, AudioHeard) == []
    assert caplog.messages.count("capture is silent while the network is not") == 1


def test_a_loud_track_of_which_no_sample_comes_is_missing_audio() -> None:
    """A page that cannot tap it at all tells nothing but the level; what was said is not silently absent."""
    steady_s = [0.0]
    clock = WallClock(wall=lambda: 1_000.0, steady=lambda: steady_s[0])
    ears = Ears(JanusSite("http://localhost/"), zero_at=datetime.fromtimestamp(1_000.0, UTC), clock=clock)
    facts: list[Fact] = []

    for _ in range(60):
        steady_s[0] += 0.5
        facts += ears.look([_facts(level=0.1, peak=0.0, owner="Joe")], NOW)

    (found,) = (fact for fact in facts if isinstance(fact, StreamFound))
    (learnt,) = (fact for fact in facts if isinstance(fact, SpeakerLearnt))
    missed = [fact for fact in facts if isinstance(fact, AudioMissed)]
    assert (found.start_ms, learnt.key, learnt.speaker) == (0, found.key, "Joe")
    assert {(miss.key, miss.reason) for miss in missed} == {(found.key, MissingReason.CAPTURE_SILENT)}
    assert missed[-1].until_ms > 24_000


def test_a_bot_that_was_held_up_takes_no_track_for_silent() -> None:
    """What came in meanwhile waits to be heard, and would be given up."""
    now_s = [1_000.0]
    clock = WallClock(wall=lambda: now_s[0], steady=lambda: now_s[0])
    ears = Ears(JanusSite("http://localhost/"), zero_at=datetime.fromtimestamp(1_000.0, UTC), clock=clock)
    at = {"at": 1_000_200.0}
    facts = list(ears.hear(_chunk(0).model_copy(update=at)))
    now_s[0] += 30.0

    facts += ears.look([_facts()], NOW, is_behind=True)
    facts += ears.hear(_chunk(1).model_copy(update={"at": 1_000_400.0}))

    assert [type(fact) for fact in facts] == [StreamFound, AudioHeard, AudioHeard]


def test_a_quiet_track_is_no_fault(ears: Ears) -> None:
    """Its zeros are audio."""
    list(ears.hear(_chunk(0)))
    for _ in range(DEAF_LOOKS + 3):
        list(ears.look([_facts(level=0.0, peak=0.0)], NOW))

    (heard,) = ears.hear(_chunk(1, sound=SILENCE))

    assert isinstance(heard, AudioHeard)


def _moderated(how: str) -> Snapshot:
    joe = {"id": 7, "display": "Joe", "streams": [{"type": "audio", "mid": "0"}]}
    events = [{"publishers": [joe]}, {"id": 7, "mid": "0", "moderation": how}]
    return Snapshot(signals=tuple(json.dumps({"plugindata": {"data": event}}) for event in events))


def test_zeros_of_somebody_who_is_shown_as_muted_are_a_hole_that_says_so(ears: Ears) -> None:
    """From the look that shows it until the look that does not; sound is heard whatever is shown."""
    list(ears.hear(_chunk(0)))
    told: list[list[Fact]] = []
    for number, (how, sound) in enumerate(
        [("unmuted", SILENCE), ("muted", SILENCE), ("muted", TONE), ("unmuted", SILENCE)], start=1
    ):
        list(ears.look([_facts(level=0.0, owner="Joe")], _moderated(how)))
        told.append(list(ears.hear(_chunk(number, sound=sound))))

    assert [[type(fact) for fact in facts] for facts in told] == [
        [AudioHeard],
        [AudioMissed],
        [AudioHeard],
        [AudioHeard],
    ]
    assert [fact.reason for fact in told[1] if isinstance(fact, AudioMissed)] == [MissingReason.MUTED]


def test_a_fault_of_the_page_is_logged_once(ears: Ears, caplog: pytest.LogCaptureFixture) -> None:
    """However often it is told."""
    caplog.set_level(logging.ERROR)
    broken = _facts().model_copy(update={"context": "suspended", "faults": ("tap: InvalidStateError",)})

    for _ in range(3):
        list(ears.look([broken], NOW))

    faults = sorted(record.__dict__["fault"] for record in caplog.records)
    assert faults == ["audio context is suspended", "tap: InvalidStateError"]


def test_on_the_next_page_sound_waits_for_its_owners_name(ears: Ears) -> None:
    """So that it goes on in the stream that the lost page left behind, and none of it is lost."""
    list(ears.hear(_chunk(0)))
    list(ears.look([_facts(owner="Joe")], NOW))
    ears.lose_page()
    assert list(ears.hear(_chunk(20, doc=NEXT_DOC))) == []
    list(ears.look([_facts(doc=NEXT_DOC, owner="Joe")], NOW))

    facts = list(ears.hear(_chunk(21, doc=NEXT_DOC)))

    assert _of_kind(facts, StreamFound) == []
    assert [fact.reason for fact in facts if isinstance(fact, AudioMissed)] == [MissingReason.PAGE_LOST]
    assert len(_of_kind(facts, AudioHeard)) == 2


def test_sound_that_stays_nobodys_is_a_new_stream(ears: Ears) -> None:
    """After a bounded wait."""
    list(ears.hear(_chunk(0)))
    list(ears.look([_facts(owner="Joe")], NOW))
    ears.lose_page()

    facts = [fact for number in range(HELD_CHUNKS) for fact in ears.hear(_chunk(20 + number, doc=NEXT_DOC))]

    assert len(_of_kind(facts, StreamFound)) == 1
    assert len(_of_kind(facts, AudioHeard)) == HELD_CHUNKS

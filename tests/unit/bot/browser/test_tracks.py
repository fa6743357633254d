"""From a page's tracks to a session's streams."""

import base64
from collections.abc import Iterable

import pytest

from vexa_bot.browser.page_messages import SAMPLES_PER_MS, AudioChunk
from vexa_bot.browser.tracks import DRIFT_CHUNKS, LAG_MS, SILENT_AFTER_MS, SLACK_MS, Tracks
from vexa_bot.capture import AudioHeard, AudioMissed, Fact, StreamEnded, StreamFound
from vexa_events.identity import MissingReason, StreamKind

ZERO = 1_700_000_000_000
DOC, NEXT_DOC = "a" * 16, "b" * 16
TONE = b"\x01\x02" * SAMPLES_PER_MS
"""One millisecond."""
SILENCE = bytes(2 * SAMPLES_PER_MS)


def _chunk(
    from_ms: int,
    *,
    ms: int = 200,
    sound: bytes = TONE,
    late_ms: int = 0,
    doc: str = DOC,
    track: int = 1,
    base_ms: int = 0,
) -> AudioChunk:
    """Make a chunk of a context that began at `base_ms` of the session."""
    return AudioChunk(
        kind="audio",
        doc=doc,
        track=track,
        first=(from_ms - base_ms) * SAMPLES_PER_MS,
        at=ZERO + from_ms + ms + late_ms,
        pcm=base64.b64encode(sound * ms).decode(),
    )


def _hear(tracks: Tracks, chunks: Iterable[AudioChunk], *, speaker: str | None = None) -> list[Fact]:
    return [fact for chunk in chunks for fact in tracks.hear(chunk, speaker=speaker)]


@pytest.fixture
def tracks() -> Tracks:
    """A session that has heard nothing."""
    return Tracks(StreamKind.PARTICIPANT, zero_unix_ms=ZERO)


def test_chunks_follow_one_another_without_a_seam(tracks: Tracks) -> None:
    """Where they lie is counted in samples, so that late messages move nothing."""
    facts = _hear(tracks, [_chunk(1_000), _chunk(1_200, late_ms=700), _chunk(1_400, late_ms=90)])

    assert facts == [
        StreamFound(key="track-1", kind=StreamKind.PARTICIPANT, start_ms=1_000),
        *(AudioHeard(key="track-1", from_ms=from_ms, samples=TONE * 200) for from_ms in (1_000, 1_200, 1_400)),
    ]


def test_a_stream_begins_with_its_first_sound(tracks: Tracks) -> None:
    """A track that never says a thing takes no slot; silence after that is audio."""
    assert _hear(tracks, [_chunk(0, sound=SILENCE)]) == []

    facts = _hear(tracks, [_chunk(200), _chunk(400, sound=SILENCE)])

    assert facts[0] == StreamFound(key="track-1", kind=StreamKind.PARTICIPANT, start_ms=200)
    assert facts[-1] == AudioHeard(key="track-1", from_ms=400, samples=SILENCE * 200)


def test_what_was_heard_before_the_session_began_is_cut_off(tracks: Tracks) -> None:
    """The clock has no time before zero."""
    facts = _hear(tracks, [_chunk(-120, base_ms=-1_000)])

    assert facts[-1] == AudioHeard(key="track-1", from_ms=0, samples=TONE * 80)


def test_two_tracks_of_one_page_are_two_streams_on_one_clock(tracks: Tracks) -> None:
    """Their positions come from the same context."""
    facts = _hear(tracks, [_chunk(0), _chunk(40, track=2, late_ms=300)])

    heard = [(fact.key, fact.from_ms) for fact in facts if isinstance(fact, AudioHeard)]
    assert heard == [("track-1", 0), ("track-2", 40)]


def test_samples_that_are_left_out_are_a_hole_that_says_so(tracks: Tracks) -> None:
    """The page told of no sound for more than a second."""
    facts = _hear(tracks, [_chunk(0), _chunk(201 + LAG_MS)])

    assert facts[-2:] == [
        AudioMissed(key="track-1", until_ms=201 + LAG_MS, reason=MissingReason.CAPTURE_SILENT),
        AudioHeard(key="track-1", from_ms=201 + LAG_MS, samples=TONE * 200),
    ]


def test_a_page_that_stumbles_catches_up_in_the_next_pause(tracks: Tracks) -> None:
    """It plays on where it stopped, so no word is torn; afterwards all lies where the clock says."""
    facts = _hear(tracks, [_chunk(0), _chunk(500), _chunk(800, sound=SILENCE), _chunk(1_000)])

    assert facts[1:] == [
        AudioHeard(key="track-1", from_ms=0, samples=TONE * 200),
        AudioHeard(key="track-1", from_ms=200, samples=TONE * 200),
        AudioHeard(key="track-1", from_ms=400, samples=SILENCE * 600),
        AudioHeard(key="track-1", from_ms=1_000, samples=TONE * 200),
    ]


def test_a_context_that_stood_still_loses_that_time(tracks: Tracks) -> None:
    """It counts on as if nothing had been, but the clock on the wall has moved."""
    lost_ms = LAG_MS + 500
    before = [_chunk(200 * number) for number in range(5)]
    after = [_chunk(200 * number, late_ms=lost_ms) for number in range(5, 5 + DRIFT_CHUNKS + 1)]

    facts = _hear(tracks, [*before, *after])

    (hole,) = (fact for fact in facts if isinstance(fact, AudioMissed))
    assert hole.reason is MissingReason.CAPTURE_SILENT
    last = facts[-1]
    assert isinstance(last, AudioHeard)
    assert last.from_ms == 200 * (5 + DRIFT_CHUNKS) + lost_ms


def test_a_track_that_stops_to_deliver_becomes_a_growing_hole(tracks: Tracks) -> None:
    """Not a quiet room; and what comes late all the same fills no hole twice."""
    _hear(tracks, [_chunk(0)])

    assert list(tracks.silence(ZERO + 200 + SILENT_AFTER_MS)) == []
    hole_ms = 300 + SILENT_AFTER_MS - SLACK_MS
    assert list(tracks.silence(ZERO + 300 + SILENT_AFTER_MS)) == [
        AudioMissed(key="track-1", until_ms=hole_ms, reason=MissingReason.CAPTURE_SILENT)
    ]
    (late,) = _hear(tracks, [_chunk(hole_ms - 100)])
    assert late == AudioHeard(key="track-1", from_ms=hole_ms, samples=TONE * 100)


def test_zeros_from_a_track_that_is_loud_on_the_network_are_no_audio(tracks: Tracks) -> None:
    """Until something is heard again."""
    _hear(tracks, [_chunk(0)])
    assert tracks.note_deaf((DOC, 1))
    assert not tracks.note_deaf((DOC, 1)), "it is told once"

    facts = _hear(tracks, [_chunk(200, sound=SILENCE), _chunk(400), _chunk(600, sound=SILENCE)])

    assert facts == [
        AudioMissed(key="track-1", until_ms=400, reason=MissingReason.CAPTURE_SILENT),
        AudioHeard(key="track-1", from_ms=400, samples=TONE * 200),
        AudioHeard(key="track-1", from_ms=600, samples=SILENCE * 200),
    ]


def test_a_track_that_was_never_captured_is_missing_audio_and_not_silence(tracks: Tracks) -> None:
    """Zeros from the first sample on are a stream as soon as the network side is known to be loud."""
    assert _hear(tracks, [_chunk(0, sound=SILENCE)]) == []
    tracks.note_deaf((DOC, 1))

    facts = _hear(tracks, [_chunk(200, sound=SILENCE), _chunk(400)])

    assert facts == [
        StreamFound(key="track-1", kind=StreamKind.PARTICIPANT, start_ms=200),
        AudioMissed(key="track-1", until_ms=400, reason=MissingReason.CAPTURE_SILENT),
        AudioHeard(key="track-1", from_ms=400, samples=TONE * 200),
    ]


def test_an_ended_track_ends_its_stream_and_a_new_one_begins_another(tracks: Tracks) -> None:
    """Whoever returns has a stream of their own, so that absence is not missing audio."""
    _hear(tracks, [_chunk(0)], speaker="Joe")
    ended = list(tracks.end((DOC, 1)))
    facts = _hear(tracks, [_chunk(5_000, track=2)], speaker="Joe")

    assert ended == [StreamEnded(key="track-1")]
    assert facts[0] == StreamFound(key="track-2", kind=StreamKind.PARTICIPANT, start_ms=5_000)
    assert list(tracks.end((DOC, 9))) == []


def test_after_a_lost_page_a_speakers_stream_goes_on_with_a_hole(tracks: Tracks) -> None:
    """Found again by name; the streams of all others end with a hole to where they are given up."""
    _hear(tracks, [_chunk(0), _chunk(0, track=2), _chunk(0, track=3)])
    tracks.lose_page({"track-1": "Joe", "track-2": "Maya"})

    facts = _hear(tracks, [_chunk(7_000, doc=NEXT_DOC, base_ms=6_000)], speaker="Joe")
    given_up = list(tracks.give_up_orphans(ZERO + 9_000))

    assert facts == [
        AudioMissed(key="track-1", until_ms=7_000, reason=MissingReason.PAGE_LOST),
        AudioHeard(key="track-1", from_ms=7_000, samples=TONE * 200),
    ]
    assert given_up == [
        AudioMissed(key="track-2", until_ms=9_000, reason=MissingReason.PAGE_LOST),
        StreamEnded(key="track-2"),
        AudioMissed(key="track-3", until_ms=9_000, reason=MissingReason.PAGE_LOST),
        StreamEnded(key="track-3"),
    ]
    assert list(tracks.give_up_orphans(ZERO + 9_000)) == []

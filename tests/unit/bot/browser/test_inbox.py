"""What becomes of messages that come faster than they are read."""

import base64

from vexa_bot.browser.inbox import AudioLost, Inbox
from vexa_bot.browser.page_messages import SAMPLES_PER_MS, AudioChunk, SpeakingNow, TrackEnded
from vexa_bot.browser.tracks import Tracks
from vexa_bot.capture import AudioHeard, AudioMissed, Fact, StreamEnded, StreamFound
from vexa_events.identity import MissingReason, StreamKind

ZERO = 1_700_000_000_000
DOC = "a" * 16
TONE, SILENCE = b"\x01\x02" * SAMPLES_PER_MS, bytes(2 * SAMPLES_PER_MS)


def _chunk(number: int, *, track: int = 1, sound: bytes = TONE) -> AudioChunk:
    """Make the 200 ms from `number` times 200 ms on."""
    return AudioChunk(
        kind="audio",
        doc=DOC,
        track=track,
        first=200 * number * SAMPLES_PER_MS,
        at=ZERO + 200 * (number + 1),
        pcm=base64.b64encode(sound * 200).decode(),
    )


ENDED = TrackEnded(kind="ended", doc=DOC, track=1)
SPEAKING = SpeakingNow(kind="speaking", doc=DOC, at=ZERO, names=("Joe",))


def _heard(inbox: Inbox, tracks: Tracks) -> list[Fact]:
    facts: list[Fact] = []
    for told in inbox.take_all():
        if isinstance(told, AudioChunk):
            facts += tracks.hear(told, speaker=None)
        elif isinstance(told, AudioLost):
            facts += tracks.lose(told, speaker=None)
        elif isinstance(told, TrackEnded):
            facts += tracks.end((told.doc, told.track))
    return facts


def _tracks() -> Tracks:
    return Tracks(StreamKind.PARTICIPANT, zero_unix_ms=ZERO)


def test_sound_that_does_not_fit_is_a_hole_where_it_would_be() -> None:
    """What follows keeps its place, though less than a second is gone."""
    inbox, tracks = Inbox(limit=2), _tracks()
    for number in range(5):
        inbox.put(_chunk(number))
    facts = _heard(inbox, tracks)
    inbox.put(_chunk(5))

    facts += _heard(inbox, tracks)

    assert facts == [
        StreamFound(key="track-1", kind=StreamKind.PARTICIPANT, start_ms=0),
        AudioHeard(key="track-1", from_ms=0, samples=TONE * 200),
        AudioHeard(key="track-1", from_ms=200, samples=TONE * 200),
        AudioMissed(key="track-1", until_ms=1_000, reason=MissingReason.BOT_BUFFER_FULL),
        AudioHeard(key="track-1", from_ms=1_000, samples=TONE * 200),
    ]
    assert inbox.dropped == 3


async def test_word_of_a_loss_comes_before_what_follows_of_its_track() -> None:
    """Of the next chunk that fits, and of the end."""
    inbox = Inbox(limit=2)
    for number in range(4):
        inbox.put(_chunk(number))
    assert [type(await inbox.next()) for _ in range(2)] == [AudioChunk, AudioChunk]

    inbox.put(_chunk(4))
    inbox.put(ENDED)

    assert [type(told) for told in inbox.take_all()] == [AudioLost, AudioChunk, TrackEnded]


def test_a_track_of_which_only_lost_sound_is_known_is_a_stream() -> None:
    """All of it is missing; zeros at its beginning are none."""
    inbox, tracks = Inbox(limit=1), _tracks()
    inbox.put(_chunk(0, track=2))
    for track, sound in ((1, TONE), (3, SILENCE)):
        inbox.put(_chunk(1, track=track, sound=sound))
    inbox.put(ENDED)

    _, _, found, missed, ended = _heard(inbox, tracks)

    assert found == StreamFound(key="track-2", kind=StreamKind.PARTICIPANT, start_ms=200)
    assert missed == AudioMissed(key="track-2", until_ms=400, reason=MissingReason.BOT_BUFFER_FULL)
    assert ended == StreamEnded(key="track-2")


def test_nothing_that_a_page_tells_grows_without_bound() -> None:
    """Neither what waits nor what is known to be lost."""
    inbox = Inbox(limit=10)
    for number in range(5_000):
        inbox.put(TrackEnded(kind="ended", doc=DOC, track=number + 1))
        inbox.put(SPEAKING)
        inbox.put(_chunk(0, track=number + 1))

    told = inbox.take_all()

    assert len(told) <= 2 * 10 + 1_000
    assert inbox.dropped >= 15_000 - len(told)

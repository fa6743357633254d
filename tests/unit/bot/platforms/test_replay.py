"""The replay platform on a clock that only sleeping moves."""

import math
import struct
import wave
from pathlib import Path

import av
import pytest

from vexa_bot.capture import (
    Admitted,
    AttendanceFailed,
    AudioHeard,
    AudioMissed,
    Fact,
    SpeakerHinted,
    SpeakerLearnt,
    StreamEnded,
    StreamFound,
)
from vexa_bot.lifecycle import Ending
from vexa_bot.platforms.replay import ReplayPlatform
from vexa_bot.session_clock import BYTES_PER_MS
from vexa_events.identity import BotStatus, MissingReason


class _Clock:
    def __init__(self) -> None:
        self.now_s = 1_000.0

    def monotonic(self) -> float:
        return self.now_s

    async def sleep(self, duration_s: float) -> None:
        self.now_s += duration_s


def write_wav(path: Path, *, seconds: float) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        count = int(seconds * 16_000)
        file.writeframes(b"".join(struct.pack("<h", int(9_000 * math.sin(index / 9))) for index in range(count)))


def a_flac(source: Path, *, keep: float) -> bytes:
    """Spell a WAV file as FLAC, with the first part of its bytes."""
    target = source.with_name("whole.flac")
    with av.open(str(source)) as original, av.open(str(target), "w") as copy:
        stream = copy.add_stream("flac", rate=16_000)
        stream.layout = "mono"
        for frame in original.decode(audio=0):
            copy.mux(stream.encode(frame))
        copy.mux(stream.encode(None))
    whole = target.read_bytes()
    target.unlink()
    return whole[: int(len(whole) * keep)]


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    (tmp_path / "standup").mkdir()
    write_wav(tmp_path / "standup" / "track-ann.wav", seconds=1.0)
    write_wav(tmp_path / "standup" / "track-bob.wav", seconds=0.5)
    return tmp_path


async def play(folder: Path | None, name: str = "standup") -> list[tuple[float, Fact]]:
    clock = _Clock()
    platform = ReplayPlatform(folder, name, monotonic=clock.monotonic, sleep=clock.sleep)
    return [(clock.now_s - 1_000.0, fact) async for fact in platform.attend()]


async def test_the_bot_is_admitted_before_streams_begin_and_each_stream_ends_once(recordings: Path) -> None:
    """The shorter track's stream ends by itself while the other goes on."""
    facts = [fact for _, fact in await play(recordings)]

    assert isinstance(facts[0], Admitted)
    assert [fact.key for fact in facts if isinstance(fact, StreamFound)] == ["track-ann.wav", "track-bob.wav"]
    assert [fact.speaker for fact in facts if isinstance(fact, SpeakerLearnt)] == ["Ann", "Bob"]
    assert [fact.key for fact in facts if isinstance(fact, StreamEnded)] == ["track-bob.wav", "track-ann.wav"]


async def test_chunks_of_a_stream_follow_one_another_on_the_shared_clock(recordings: Path) -> None:
    """Positions have neither holes nor overlaps, and the whole track is heard."""
    heard = [fact for _, fact in await play(recordings) if isinstance(fact, AudioHeard)]

    for key, length_ms in (("track-ann.wav", 1_000), ("track-bob.wav", 500)):
        edge_ms = 0
        for fact in (fact for fact in heard if fact.key == key):
            assert fact.from_ms == edge_ms
            edge_ms += len(fact.samples) // BYTES_PER_MS
        assert edge_ms == length_ms


async def test_a_chunk_is_heard_when_its_last_sample_was_played(recordings: Path) -> None:
    """Never before: the replay must not run ahead of a real meeting."""
    for at_s, fact in await play(recordings):
        if isinstance(fact, AudioHeard):
            until_s = fact.from_ms / 1_000 + len(fact.samples) / BYTES_PER_MS / 1_000
            assert until_s - 1e-9 <= at_s <= fact.from_ms / 1_000 + 0.2 + 1e-9


async def test_without_a_folder_replay_is_not_offered() -> None:
    """The reason names the missing set-up, not the meeting."""
    with pytest.raises(AttendanceFailed) as caught:
        await play(None)
    assert caught.value.reason == "replay_not_offered"


async def test_an_undecodable_track_leaves_the_others_to_be_heard(recordings: Path) -> None:
    """The end names the file that nobody heard."""
    (recordings / "standup" / "track-eve.flac").write_bytes(b"noise" * 1_000)

    facts = [fact for _, fact in await play(recordings)]

    assert [fact.key for fact in facts if isinstance(fact, StreamFound)] == ["track-ann.wav", "track-bob.wav"]
    ending = facts[-1]
    assert isinstance(ending, Ending)
    assert (ending.status, ending.reason) == (BotStatus.COMPLETED, "meeting_ended")
    assert "track-eve.flac" in (ending.evidence or "")


async def test_a_recording_without_a_readable_track_is_found_out_before_the_meeting_begins(tmp_path: Path) -> None:
    """No active session for a recording that cannot be played."""
    (tmp_path / "standup").mkdir()
    (tmp_path / "standup" / "track-eve.flac").write_bytes(b"noise" * 1_000)
    platform = ReplayPlatform(tmp_path, "standup", monotonic=_Clock().monotonic)

    with pytest.raises(AttendanceFailed) as caught:
        await anext(platform.attend())
    assert caught.value.reason == "recording_undecodable"
    assert "track-eve.flac" in caught.value.evidence


async def test_a_file_that_was_cut_off_is_told_missing_in_real_time(recordings: Path) -> None:
    """What the recording should have held is accounted for, and named at the end."""
    path = recordings / "standup" / "track-ann.wav"
    path.with_suffix(".flac").write_bytes(a_flac(path, keep=0.9))
    path.unlink()

    facts = [fact for _, fact in await play(recordings)]

    missed = [fact for fact in facts if isinstance(fact, AudioMissed)]
    assert {(fact.key, fact.reason) for fact in missed} == {("track-ann.flac", MissingReason.CAPTURE_SILENT)}
    assert missed[-1].until_ms == 1_000
    assert isinstance(facts[-1], Ending)
    assert "track-ann.flac" in (facts[-1].evidence or "")


async def test_a_mix_is_nobodys_and_who_was_shown_as_speaking_is_told_when_it_is_over(tmp_path: Path) -> None:
    """Never before: the replay must not know more than a bot in the meeting; what the end cuts off ends there."""
    (tmp_path / "mix").mkdir()
    write_wav(tmp_path / "mix" / "mixed.wav", seconds=1.0)
    (tmp_path / "mix" / "hints.json").write_text(
        '[{"from_s": 0.1, "until_s": 0.5, "speaker": "Joe"}, {"from_s": 0.5, "until_s": 9, "speaker": "Nina"}]'
    )

    told = await play(tmp_path, "mix")

    (learnt,) = [fact for _, fact in told if isinstance(fact, SpeakerLearnt)]
    joe, nina = [(at_s, fact) for at_s, fact in told if isinstance(fact, SpeakerHinted)]
    assert learnt.speaker == "Speaker A"
    assert 0.5 <= joe[0] <= 0.7
    assert (joe[1].speaker, joe[1].from_ms, joe[1].until_ms) == ("Joe", 100, 500)
    assert (nina[1].speaker, nina[1].from_ms, nina[1].until_ms) == ("Nina", 500, 1_000)


async def test_hints_that_cannot_be_read_cost_the_names_alone(tmp_path: Path) -> None:
    """The meeting is heard, and its end tells what is wrong."""
    (tmp_path / "mix").mkdir()
    write_wav(tmp_path / "mix" / "mixed.wav", seconds=0.5)
    (tmp_path / "mix" / "hints.json").write_text("{}")

    facts = [fact for _, fact in await play(tmp_path, "mix")]

    assert sum(len(fact.samples) for fact in facts if isinstance(fact, AudioHeard)) == 500 * BYTES_PER_MS
    assert isinstance(facts[-1], Ending)
    assert "hints.json" in (facts[-1].evidence or "")

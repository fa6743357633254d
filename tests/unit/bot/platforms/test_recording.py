"""Recorded meetings: which files count, and what is in them."""

import math
import struct
import wave
from pathlib import Path

import pytest

from vexa_bot.capture import AttendanceFailed
from vexa_bot.platforms.recording import decode, find_tracks
from vexa_bot.session_clock import BYTES_PER_MS
from vexa_events.identity import StreamKind


def write_wav(path: Path, *, seconds: float = 1.0, rate_hz: int = 16_000, channels: int = 1) -> None:
    count = int(seconds * rate_hz)
    samples = [int(8_000 * math.sin(2 * math.pi * 440 * index / rate_hz)) for index in range(count)]
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(b"".join(struct.pack("<h", sample) * channels for sample in samples))


def a_recording(root: Path, *names: str) -> Path:
    folder = root / "standup"
    folder.mkdir()
    for name in names:
        (folder / name).write_bytes(b"")
    return root


def test_each_track_is_one_participant_named_by_its_file(tmp_path: Path) -> None:
    """The mix and the reference beside them are left alone."""
    a_recording(tmp_path, "track-maya.flac", "track-joe_van dyke.wav", "mixed.flac", "other.wav", "reference.json")

    tracks = find_tracks(tmp_path, "standup")

    assert [(track.speaker, track.kind) for track in tracks] == [
        ("Joe Van Dyke", StreamKind.PARTICIPANT),
        ("Maya", StreamKind.PARTICIPANT),
    ]


def test_plain_names_are_tracks_where_none_is_called_so(tmp_path: Path) -> None:
    """A folder of files named by speaker is a recording too."""
    a_recording(tmp_path, "alice.MP3", "bob.ogg", "mixed.wav", "notes.txt")

    assert [track.speaker for track in find_tracks(tmp_path, "standup")] == ["Alice", "Bob"]


def test_a_mix_alone_is_a_mixed_stream_of_nobody(tmp_path: Path) -> None:
    """Nobody's name is made up."""
    a_recording(tmp_path, "mixed.flac")

    (track,) = find_tracks(tmp_path, "standup")

    assert (track.kind, track.speaker) == (StreamKind.MIXED, None)


@pytest.mark.parametrize("name", ["nowhere", "..", ".", "../standup", "standup/../standup", "a\\b", "/etc", "x\x00y"])
def test_names_that_lead_elsewhere_or_nowhere_are_not_found(tmp_path: Path, name: str) -> None:
    """Only folders directly inside the root can be attended."""
    a_recording(tmp_path, "track-joe.wav")

    with pytest.raises(AttendanceFailed) as caught:
        find_tracks(tmp_path, name)
    assert caught.value.reason == "recording_not_found"


def test_a_folder_without_audio_says_so(tmp_path: Path) -> None:
    """A typo in the folder's content is told apart from one in its name."""
    a_recording(tmp_path, "reference.json")

    with pytest.raises(AttendanceFailed) as caught:
        find_tracks(tmp_path, "standup")
    assert caught.value.reason == "recording_without_tracks"


@pytest.mark.parametrize(("rate_hz", "channels"), [(16_000, 1), (48_000, 2), (44_100, 1), (8_000, 2)])
def test_any_rate_and_layout_becomes_16_khz_mono_of_the_same_length(
    tmp_path: Path, rate_hz: int, channels: int
) -> None:
    """Positions count on it."""
    write_wav(tmp_path / "a.wav", seconds=2.5, rate_hz=rate_hz, channels=channels)

    chunks = list(decode(tmp_path / "a.wav", chunk_ms=200))

    assert {len(chunk) for chunk in chunks[:-1]} == {200 * BYTES_PER_MS}
    assert sum(map(len, chunks)) / BYTES_PER_MS == pytest.approx(2_500, abs=2)


def test_samples_come_through_unchanged_and_the_tail_is_filled_to_a_millisecond(tmp_path: Path) -> None:
    """A recording's end need not be a whole millisecond; a position must."""
    write_wav(tmp_path / "a.wav", seconds=0.50003)
    with wave.open(str(tmp_path / "a.wav")) as file:
        expected = file.readframes(file.getnframes())

    decoded = b"".join(decode(tmp_path / "a.wav", chunk_ms=200))

    assert decoded[: len(expected)] == expected
    assert len(decoded) % BYTES_PER_MS == 0
    assert not any(decoded[len(expected) :])


def test_a_file_that_is_not_audio_fails_with_its_name(tmp_path: Path) -> None:
    """The reason can be shown to whoever made the recording."""
    (tmp_path / "a.flac").write_bytes(b"this is not a flac file" * 100)

    with pytest.raises(AttendanceFailed, match=r"recording_undecodable: a\.flac"):
        list(decode(tmp_path / "a.flac", chunk_ms=200))

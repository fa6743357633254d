"""Recorded meetings: which files count."""

from pathlib import Path

import pytest

from vexa_bot.capture import AttendanceFailed
from vexa_bot.platforms.recording import find_tracks
from vexa_events.identity import StreamKind


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

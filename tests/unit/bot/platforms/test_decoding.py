"""What is in a recorded file, and where."""

import math
import random
import struct
import wave
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from vexa_bot.capture import AttendanceFailed
from vexa_bot.platforms.decoding import decode, windows
from vexa_bot.session_clock import BYTES_PER_MS
from vexa_bot.tape import Audio, Hole, Piece
from vexa_events.identity import MissingReason

FRAME = 960
RATE_HZ = 48_000


def write_wav(
    path: Path, *, seconds: float = 1.0, rate_hz: int = 16_000, channels: int = 1, phases: tuple[int, ...] = (1, 1)
) -> None:
    """Write a tone; `phases` is its sign in each channel."""
    count = int(seconds * rate_hz)
    samples = [int(8_000 * math.sin(2 * math.pi * 440 * index / rate_hz)) for index in range(count)]
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(b"".join(struct.pack("<h", sample * sign) for sample in samples for sign in phases[:channels]))


def write_opus(path: Path, *, seconds: float, start_s: float = 0.0, without: tuple[float, float] | None = None) -> None:
    """Write a tone as Opus; no packet has the time `without`."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libopus", rate=RATE_HZ)
        stream.layout = "mono"
        for index in range(int(seconds * RATE_HZ / FRAME)):
            if without and without[0] <= index * FRAME / RATE_HZ < without[1]:
                continue
            tone = 8_000 * np.sin(2 * np.pi * 440 * (np.arange(FRAME) + index * FRAME) / RATE_HZ)
            frame = av.AudioFrame.from_ndarray(tone.astype(np.int16).reshape(1, -1), format="s16", layout="mono")
            frame.sample_rate, frame.time_base = RATE_HZ, Fraction(1, RATE_HZ)
            frame.pts = index * FRAME + int(start_s * RATE_HZ)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def write_flac(path: Path, *, seconds: float) -> tuple[bytes, bytes]:
    """Write noise that compresses badly; return the file and its samples."""
    samples = np.random.default_rng(7).integers(-9_000, 9_000, int(seconds * 16_000), dtype=np.int16)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("flac", rate=16_000)
        stream.layout = "mono"
        for first in range(0, len(samples), 4_096):
            part = samples[first : first + 4_096].reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(part, format="s16", layout="mono")
            frame.sample_rate, frame.pts = 16_000, first
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path.read_bytes(), samples.tobytes()


def samples_of(pieces: Iterable[Piece]) -> bytes:
    return b"".join(piece.samples for piece in pieces if isinstance(piece, Audio))


def holes_of(pieces: Iterable[Piece]) -> list[Hole]:
    return [piece for piece in pieces if isinstance(piece, Hole)]


@pytest.mark.parametrize(("rate_hz", "channels"), [(16_000, 1), (48_000, 2), (44_100, 1), (8_000, 2)])
def test_any_rate_and_layout_becomes_16_khz_mono_of_the_same_length(
    tmp_path: Path, rate_hz: int, channels: int
) -> None:
    """Positions count on it."""
    write_wav(tmp_path / "a.wav", seconds=2.5, rate_hz=rate_hz, channels=channels)

    heard = list(windows(decode(tmp_path / "a.wav"), window_ms=200))

    assert {piece.until_ms - piece.from_ms for (piece,) in heard[:-1]} == {200}
    assert heard[-1][-1].until_ms == pytest.approx(2_500, abs=2)


def test_samples_come_through_unchanged_and_the_tail_is_filled_to_a_millisecond(tmp_path: Path) -> None:
    """A recording's end need not be a whole millisecond; a position must."""
    write_wav(tmp_path / "a.wav", seconds=0.50003)
    with wave.open(str(tmp_path / "a.wav")) as file:
        expected = file.readframes(file.getnframes())

    decoded = samples_of(decode(tmp_path / "a.wav"))

    assert decoded[: len(expected)] == expected
    assert len(decoded) % BYTES_PER_MS == 0
    assert not any(decoded[len(expected) :])


def test_a_file_that_is_not_audio_fails_with_its_name(tmp_path: Path) -> None:
    """The reason can be shown to whoever made the recording."""
    (tmp_path / "a.flac").write_bytes(b"this is not a flac file" * 100)

    with pytest.raises(AttendanceFailed, match=r"recording_undecodable: a\.flac"):
        list(decode(tmp_path / "a.flac"))


def test_damage_is_a_hole_and_what_follows_keeps_its_place(tmp_path: Path) -> None:
    """Words that cannot be read are told missing, where they were said."""
    whole, samples = write_flac(tmp_path / "a.flac", seconds=12.0)
    third = len(whole) // 3
    noise = random.Random(1).randbytes(20_000)
    (tmp_path / "a.flac").write_bytes(whole[:third] + noise + whole[third + len(noise) :])

    pieces = list(decode(tmp_path / "a.flac"))

    (hole,) = holes_of(pieces)
    assert hole.reason is MissingReason.CAPTURE_SILENT
    assert 2_500 < hole.from_ms < hole.until_ms < 6_000
    for piece in pieces:
        if isinstance(piece, Audio):
            assert piece.samples == samples[piece.from_ms * BYTES_PER_MS : piece.until_ms * BYTES_PER_MS]
    assert pieces[-1].until_ms == 12_000


def test_an_end_that_the_file_promises_and_lacks_is_a_hole(tmp_path: Path) -> None:
    """A file that was cut off says how long it should be."""
    whole, _ = write_flac(tmp_path / "a.flac", seconds=4.0)
    (tmp_path / "a.flac").write_bytes(whole[: len(whole) // 2])

    *_, last = decode(tmp_path / "a.flac")

    assert isinstance(last, Hole)
    assert 1_500 < last.from_ms < 2_100
    assert last.until_ms == 4_000


@pytest.mark.parametrize("suffix", [".webm", ".ogg"])
def test_a_track_that_begins_late_lies_where_it_begins(tmp_path: Path, suffix: str) -> None:
    """Nobody is missing before they came."""
    write_opus(tmp_path / f"a{suffix}", seconds=1.0, start_s=5.0)

    pieces = list(decode(tmp_path / f"a{suffix}"))

    assert holes_of(pieces) == []
    assert pieces[0].from_ms == pytest.approx(5_000, abs=5)
    assert pieces[-1].until_ms == pytest.approx(6_000, abs=10)


@pytest.mark.parametrize("suffix", [".webm", ".ogg"])
def test_a_pause_between_frames_is_a_hole_of_its_length(tmp_path: Path, suffix: str) -> None:
    """Recorders leave out what they did not hear."""
    write_opus(tmp_path / f"a{suffix}", seconds=3.0, without=(1.0, 2.0))

    pieces = list(decode(tmp_path / f"a{suffix}"))

    (hole,) = holes_of(pieces)
    assert hole.from_ms == pytest.approx(1_010, abs=10)
    assert hole.until_ms == pytest.approx(2_010, abs=10)
    assert pieces[-1].until_ms == pytest.approx(3_000, abs=10)


def test_channels_of_opposite_phase_are_not_mixed_to_nothing(tmp_path: Path) -> None:
    """The louder channel is heard where the mix cancels."""
    write_wav(tmp_path / "a.wav", channels=2, phases=(1, -1))

    decoded = np.frombuffer(samples_of(decode(tmp_path / "a.wav")), "<i2")

    assert np.abs(decoded).max() > 7_000


def test_windows_before_a_track_begins_are_empty_and_pieces_are_cut_at_their_edges() -> None:
    """Players of several tracks move through them together."""
    hole = Hole(from_ms=500, until_ms=900, reason=MissingReason.CAPTURE_SILENT)
    pieces: list[Piece] = [Audio(from_ms=300, samples=bytes(200 * BYTES_PER_MS)), hole]

    found = list(windows(pieces, window_ms=200))

    assert [[(piece.from_ms, piece.until_ms) for piece in window] for window in found] == [
        [],
        [(300, 400)],
        [(400, 500), (500, 600)],
        [(600, 800)],
        [(800, 900)],
    ]

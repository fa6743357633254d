"""Files of sound turned into samples."""

import io
from collections.abc import Iterator

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer

from vexa_events.errors import InvalidMessage, TooLarge
from vexa_events.stream import SAMPLE_RATE_HZ, AudioFormat
from vexa_pool.server.samples import read_samples
from vexa_pool.streaming.audio import Samples

FORMATS = "aac,aiff,amr,au,caf,flac,matroska,mov,mp3,ogg,w64,wav"
"""Containers that hold sound themselves; playlists, which name files and addresses to open, are none of them."""
MOST_SECONDS = 2 * 3600.0
LEAST_RATE_HZ = 4_000
"""A frame that claims a lower rate would become a thousand times as many samples."""
PIECE_SAMPLES = 5 * SAMPLE_RATE_HZ


def read_pieces(file: bytes) -> Iterator[Samples]:
    """Yield mono samples at 16 kHz, a few seconds at a time; blocking. Raise InvalidMessage for what is no sound."""
    try:
        with av.open(
            io.BytesIO(file), "r", options={"format_whitelist": FORMATS}, metadata_errors="ignore"
        ) as container:
            yield from _pieces(container)
    except av.FFmpegError as exc:
        raise InvalidMessage(f"the file cannot be read: {type(exc).__name__}") from exc


def _pieces(container: InputContainer) -> Iterator[Samples]:
    if not container.streams.audio:
        raise InvalidMessage("the file has no sound")
    resampler = av.AudioResampler("flt", "mono", SAMPLE_RATE_HZ)
    held: list[Samples] = []
    total = size = 0
    for frame in _frames(container, container.streams.audio[0]):
        samples = [_clean(out) for out in resampler.resample(frame)]
        held += samples
        size += sum(part.size for part in samples)
        if size >= PIECE_SAMPLES:
            total += size
            if total > MOST_SECONDS * SAMPLE_RATE_HZ:
                raise TooLarge(f"the file is longer than {MOST_SECONDS / 3600:g} hours")
            yield np.concatenate(held)
            held, size = [], 0
    held += [_clean(out) for out in resampler.resample(None)] if total or size else []
    if held:
        yield np.concatenate(held)


def _frames(container: InputContainer, stream: AudioStream) -> Iterator[AudioFrame]:
    """Yield what can be decoded; a broken packet costs its own sound alone."""
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except av.InvalidDataError:
            continue
        for frame in frames:
            if frame.sample_rate < LEAST_RATE_HZ:
                raise InvalidMessage(f"the file has {frame.sample_rate} samples a second")
            yield frame


def _clean(frame: AudioFrame) -> Samples:
    samples, _ = read_samples(frame.to_ndarray().tobytes(), AudioFormat.FLOAT32)
    return samples

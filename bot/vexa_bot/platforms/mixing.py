"""Decoded frames as int16 mono samples at 16 kHz."""

from collections.abc import Iterable

import av
import numpy as np
import numpy.typing as npt

from vexa_events.stream import SAMPLE_RATE_HZ

CANCELLED = 0.01
"""A mix with less than this part of the energy of its louder channel has lost what was said."""


class Mixer:
    """Resamples one track and mixes its channels; where they cancel, the louder one is heard."""

    def __init__(self) -> None:
        self._resampler: av.AudioResampler | None = None
        self._form: tuple[str, str, int] | None = None

    def mix(self, frame: av.AudioFrame) -> bytes:
        """Return what is ready; a part of the frame may come out with the next one."""
        form = (frame.format.name, frame.layout.name, frame.sample_rate)
        before = b""
        if self._resampler is None or form != self._form:
            before = self.flush()
            layout = "mono" if frame.layout.nb_channels == 1 else "stereo"
            self._resampler = av.AudioResampler(format="s16p", layout=layout, rate=SAMPLE_RATE_HZ)
            self._form = form
        return before + _mixed(self._resampler.resample(frame))

    def flush(self) -> bytes:
        """Return what is still inside; the next frame need not follow it."""
        resampler, self._resampler = self._resampler, None
        return b"" if resampler is None else _mixed(resampler.resample(None))


def _mixed(frames: Iterable[av.AudioFrame]) -> bytes:
    return b"".join(_mono(frame) for frame in frames)


def _mono(frame: av.AudioFrame) -> bytes:
    # A plane may be longer than its samples: the decoder aligns it.
    channels = [np.frombuffer(bytes(plane), "<i2")[: frame.samples] for plane in frame.planes]
    if len(channels) == 1:
        return channels[0].tobytes()
    mix = np.mean(channels, axis=0).astype("<i2")
    louder = max(channels, key=_energy)
    return (louder if _energy(mix) < CANCELLED * _energy(louder) else mix).tobytes()


def _energy(samples: npt.NDArray[np.int16]) -> float:
    return float(np.square(samples, dtype=np.float64).sum())

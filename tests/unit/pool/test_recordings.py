"""What the streams of a load test are made of."""

from pathlib import Path

import numpy as np
import pytest

from vexa_events.errors import InvalidMessage
from vexa_pool.loadtest.aligning import Aligner
from vexa_pool.loadtest.recordings import KnownWord, Recording, load_recordings, programme

LINE_S = 2.0


def a_recording(name: str, lines: int) -> Recording:
    """Each line is one word that ends with it; the samples of line n have the value n."""
    ends_s = tuple(LINE_S * (n + 1) for n in range(lines))
    samples = np.repeat(np.arange(1, lines + 1, dtype=np.float32), round(LINE_S * 16_000))
    words = tuple(KnownWord(f"{name}{n}", end_s) for n, end_s in enumerate(ends_s, start=1))
    return Recording(samples=samples, words=words, line_ends_s=ends_s)


RECORDINGS = (a_recording("a", 3), a_recording("b", 2))


def test_recordings_follow_one_another_until_the_length_is_reached() -> None:
    """Words keep their place in the audio, and no line is cut."""
    part = programme(RECORDINGS, number=0, length_s=7.0)

    assert part.words == (KnownWord("a1", 2.0), KnownWord("a2", 4.0), KnownWord("a3", 6.0), KnownWord("b1", 8.0))
    assert part.length_s >= 8.0


@pytest.mark.parametrize(("number", "first"), [(0, "a1"), (1, "b1"), (2, "a2"), (3, "b2"), (6, "a1")])
def test_each_stream_begins_elsewhere(number: int, first: str) -> None:
    """Streams that pause together would flatter a server, and speak together would wrong it."""
    part = programme(RECORDINGS, number=number, length_s=4.0)

    assert part.words[0] == KnownWord(first, LINE_S)
    assert part.samples[0] == float(first[1])


def test_a_folder_without_meetings_is_refused(tmp_path: Path) -> None:
    """Nothing to play is no load."""
    with pytest.raises(InvalidMessage, match="no meeting"):
        load_recordings(tmp_path, cache=tmp_path, aligner=Aligner(tmp_path))

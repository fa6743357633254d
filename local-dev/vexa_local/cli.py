"""The command `vexa-local`: up, demo and check."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from vexa_events.errors import VexaError
from vexa_local.checking import check_stored_meeting
from vexa_local.console import terminal
from vexa_local.demo.run import DemoOptions, run_demo
from vexa_local.ports import Ports
from vexa_local.settings import read_settings
from vexa_local.stack import Stack
from vexa_local.state import State
from vexa_local.up import run_up

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status."""
    options = _parser().parse_args(arguments)
    try:
        stack = _describe(
            options.port_offset,
            workers=getattr(options, "workers", 1),
            under_framework=getattr(options, "framework", False),
        )
        if options.command == "up":
            asyncio.run(run_up(stack, terminal()))
        elif options.command == "check":
            return 1 if asyncio.run(check_stored_meeting(stack, options.meeting, terminal())) else 0
        else:
            asyncio.run(run_demo(stack, DemoOptions(meeting=options.meeting, json_file=options.json)))
    except (asyncio.CancelledError, KeyboardInterrupt):
        return 0 if options.command == "up" else INTERRUPTED
    except VexaError as exc:
        sys.stderr.write(f"vexa-local {options.command}: {exc}\n")
        return 1
    return 0


def _describe(offset: int, *, workers: int, under_framework: bool) -> Stack:
    ports, settings = Ports.at_offset(offset), read_settings()
    state = State.at_offset(offset)
    state.prepare()
    return Stack(
        settings=settings,
        state=state,
        ports=ports,
        secrets=state.secrets(),
        workers=workers,
        under_framework=under_framework,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="vexa-local", description="Run all of Vexa on this machine.")
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="start everything and keep it running in the foreground")
    demo = commands.add_parser("demo", help="send a bot to a recorded meeting and watch its transcript grow")
    demo.add_argument("--meeting", default="standup", metavar="NAME", help="a folder of recordings (default: standup)")
    demo.add_argument("--json", type=Path, metavar="FILE", help="write the stored transcript to FILE")
    check = commands.add_parser("check", help="tell whether every second of a stored meeting is accounted for")
    check.add_argument("meeting", metavar="MEETING", help="its native id, or platform/native id")
    for command in (up, demo):
        command.add_argument(
            "--workers", type=int, choices=range(1, 9), default=1, metavar="N", help="of the pool, behind a balancer"
        )
        command.add_argument(
            "--framework",
            action="store_true",
            help="run all functions but the gateway by functions-framework's command",
        )
    for command in (up, demo, check):
        command.add_argument(
            "--port-offset", type=int, default=0, metavar="N", help="add N to every port; each N has a state of its own"
        )
    return parser

"""The demo: a recorded meeting, transcribed live by a whole stack."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from vexa_local.console import LogFiles
from vexa_local.demo.board import Line
from vexa_local.demo.length import recording_length_s
from vexa_local.demo.screen import PlainLines, Screen, transcript_table
from vexa_local.demo.watching import Api, DemoFailed, watch_until_final
from vexa_local.stack import Stack
from vexa_local.state import read_env_file
from vexa_local.up import running_stack

_PATIENCE_S = 90.0
"""Longer than the bot's start, the last words' way to the database, and one tick."""
_OTHER_STARTS_WITHIN_S = 120.0
_LOOK_EVERY_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """What the command line asked for."""

    meeting: str
    json_file: Path | None


async def run_demo(stack: Stack, options: DemoOptions) -> None:
    """Play one meeting; raise VexaError with a readable reason when it does not end well."""
    console = Console()
    if options.json_file is not None:
        require_writable(options.json_file)
    opened = _shared_stack if stack.state.is_running() else _own_stack
    async with opened(stack, options.meeting, console) as api:
        attendance = await api.send_bot(options.meeting)
        if not attendance.is_ours:
            console.print(f"A bot attends {options.meeting} already; this is what it hears", highlight=False)
        length_s = recording_length_s(_replay_dir(stack), options.meeting)
        title = f"replay/{options.meeting}"
        view = Screen(console, title=title, length_s=length_s) if console.is_terminal else PlainLines(console)
        with view.open():
            stored = await watch_until_final(api, options.meeting, attendance, show=view.show, patience_s=_PATIENCE_S)
        _print_stored(console, stored)
        if options.json_file is not None:
            write_json(options.json_file, stored)


def require_recording(replay_dir: Path, meeting: str) -> None:
    """Raise DemoFailed, naming the recordings that there are, where none is called so; what is in it the bot judges."""
    known = sorted(entry.name for entry in replay_dir.glob("*/"))
    if meeting not in known:
        raise DemoFailed(f"no recording {meeting!r} in {replay_dir}; there are: {', '.join(known) or 'none'}")


def require_writable(file: Path) -> None:
    """Raise DemoFailed where the file could not be written; what it holds stays."""
    is_new = not file.exists()
    try:
        with file.open("a"):
            pass
        if is_new:
            file.unlink()
    except OSError as exc:
        raise DemoFailed(f"{file} cannot be written: {exc.strerror}") from exc


def write_json(file: Path, stored: dict[str, Any]) -> None:
    """Write the transcript; raise DemoFailed where the disk does not take it."""
    try:
        file.write_text(json.dumps(stored, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as exc:
        raise DemoFailed(f"{file} cannot be written: {exc.strerror}") from exc


@asynccontextmanager
async def _own_stack(stack: Stack, meeting: str, console: Console) -> AsyncIterator[Api]:
    """Run a stack quietly."""
    require_recording(stack.replay_dir, meeting)
    with (
        closing(LogFiles(stack.state.logs_dir)) as logs,
        console.status("Starting Postgres, Valkey, the Broker, the functions and a pool worker") as status,
    ):
        async with running_stack(stack, logs) as environment:
            status.stop()
            yield Api(environment["VEXA_API_URL"], environment["VEXA_API_KEY"])


@asynccontextmanager
async def _shared_stack(stack: Stack, meeting: str, console: Console) -> AsyncIterator[Api]:
    """Use the stack that runs already, which offers recordings of its own choice."""
    console.print("Using the stack that runs already")
    _cancel_at_signals()
    api = await _api_of_other(stack)
    require_recording(_replay_dir(stack), meeting)
    yield api


def _replay_dir(stack: Stack) -> Path:
    """Return where the stack that runs, ours or another, has its recordings."""
    told = read_env_file(stack.state.env_file).get("VEXA_REPLAY_DIR")
    return Path(told) if told else stack.replay_dir


def _cancel_at_signals() -> None:
    """Let Ctrl-C and its like end this task in good order."""
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("a demo runs inside a task")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)


async def _api_of_other(stack: Stack) -> Api:
    try:
        async with asyncio.timeout(_OTHER_STARTS_WITHIN_S):
            while True:
                known = read_env_file(stack.state.env_file)
                api = Api(known.get("VEXA_API_URL", stack.addresses.gateway), known.get("VEXA_API_KEY", ""))
                if await api.works():
                    return api
                await asyncio.sleep(_LOOK_EVERY_S)
    except TimeoutError as exc:
        raise DemoFailed("a stack is starting in this checkout, but it does not get ready") from exc


def _print_stored(console: Console, stored: dict[str, Any]) -> None:
    lines = [Line.model_validate(segment) for segment in stored["segments"]]
    speakers = list(dict.fromkeys(line.speaker for line in lines if line.speaker))
    console.print(Text(f"\nStored transcript of meeting {stored['id']} ({stored['status']})", style="bold"))
    console.print(transcript_table([(line, False) for line in lines], speakers))
    console.print(Text("\nCoverage", style="bold"))
    for text in coverage_lines(stored["coverage"]):
        console.print(text, highlight=False, markup=False)


def coverage_lines(coverage: dict[str, Any]) -> list[str]:
    """Say in words what became of every captured second."""
    totals = (
        f"captured {coverage['captured_s']:.1f} s on {len(coverage['streams'])} streams: "
        f"speech {coverage['speech_s']:.1f} s, silence {coverage['silence_s']:.1f} s, "
        f"muted {coverage['muted_s']:.1f} s, "
        f"missing {coverage['missing_s']:.1f} s"
    )
    gaps = [
        f"  missing {gap['start']:.1f}-{gap['end']:.1f} s of {gap['speaker'] or 'an unnamed stream'}: {gap['reason']}"
        for gap in coverage["missing"]
    ]
    return [totals, *gaps]

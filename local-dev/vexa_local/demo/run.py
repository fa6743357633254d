"""The demo: a recorded meeting, transcribed live by a whole stack."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
from rich.console import Console
from rich.text import Text

from vexa_local.console import LogFiles
from vexa_local.demo.board import Line
from vexa_local.demo.screen import PlainLines, Screen, transcript_table
from vexa_local.demo.watching import Api, DemoFailed, watch_until_final
from vexa_local.stack import Stack
from vexa_local.state import read_env_file
from vexa_local.up import running_stack

_AFTER_THE_RECORDING_S = 90.0
"""Longer than the bot's start, the last words' way to the database, and one tick."""
_OTHER_STARTS_WITHIN_S = 120.0
_LOOK_EVERY_S = 0.5
_SUFFIXES = frozenset({".flac", ".wav", ".ogg", ".opus", ".mp3", ".m4a"})


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """What the command line asked for."""

    meeting: str
    json_file: Path | None


async def run_demo(stack: Stack, options: DemoOptions) -> None:
    """Play one meeting; raise VexaError with a readable reason when it does not end well."""
    console = Console()
    length_s = recording_length_s(stack.replay_dir, options.meeting)
    async with _api(stack, console) as api:
        console.print(f"{options.meeting}: a recording of {length_s:.0f} s, heard by one bot", highlight=False)
        title = f"replay/{options.meeting}"
        view = Screen(console, title=title, length_s=length_s) if console.is_terminal else PlainLines(console)
        with view.open():
            within_s = length_s + _AFTER_THE_RECORDING_S
            stored = await watch_until_final(api, options.meeting, show=view.show, within_s=within_s)
        if options.json_file is not None:
            await asyncio.to_thread(options.json_file.write_text, json.dumps(stored, indent=2, ensure_ascii=False))
        _print_stored(console, stored)


def recording_length_s(replay_dir: Path, meeting: str) -> float:
    """Measure the longest track; raise DemoFailed naming the meetings that there are."""
    folder = replay_dir / meeting
    tracks = [file for file in sorted(folder.glob("*")) if file.suffix in _SUFFIXES]
    if not tracks:
        known = sorted({file.parent.name for file in replay_dir.glob("*/*") if file.suffix in _SUFFIXES})
        raise DemoFailed(f"no recording {meeting!r} in {replay_dir}; there are: {', '.join(known) or 'none'}")
    return max(_length_s(track) for track in tracks)


def _length_s(track: Path) -> float:
    with av.open(str(track)) as container:
        return (container.duration or 0) / av.time_base


@asynccontextmanager
async def _api(stack: Stack, console: Console) -> AsyncIterator[Api]:
    """Use the stack that runs already, or run one quietly."""
    if stack.state.is_running():
        console.print("Using the stack that runs already")
        yield await _api_of_other(stack)
        return
    with (
        closing(LogFiles(stack.state.logs_dir)) as logs,
        console.status("Starting Postgres, Valkey, the Broker, the functions and a pool worker") as status,
    ):
        async with running_stack(stack, logs) as environment:
            status.stop()
            yield Api(environment["VEXA_API_URL"], environment["VEXA_API_KEY"])


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
        f"missing {coverage['missing_s']:.1f} s"
    )
    gaps = [
        f"  missing {gap['start']:.1f}-{gap['end']:.1f} s of {gap['speaker'] or 'an unnamed stream'}: {gap['reason']}"
        for gap in coverage["missing"]
    ]
    return [totals, *gaps]

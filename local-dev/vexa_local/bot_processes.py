"""
The bots that the process launcher of the bots function started.

They outlive the function, so the end of a stack looks for them: one file a bot,
`<session_uid>.pid`, names its process.
"""

import asyncio
import json
import time
from pathlib import Path

import psutil

from vexa_local.leftovers import find_process

STOP_WITHIN_S = 15.0
"""A bot that is told to end hands over what it has first."""


async def stop_bots(folder: Path) -> int:
    """Tell every bot to end, wait, kill those that stay; return how many there were."""
    return await asyncio.to_thread(_stop_bots, folder)


def kill_bots(folder: Path) -> None:
    """End every bot at once."""
    for process in running_bots(folder):
        _quietly(process, "kill")


def running_bots(folder: Path) -> list[psutil.Process]:
    """Find the living bots."""
    found = (_read(file) for file in sorted(folder.glob("*.pid")))
    return [process for process in found if process is not None]


def _stop_bots(folder: Path) -> int:
    bots = running_bots(folder)
    for process in bots:
        _quietly(process, "terminate")
    deadline = time.monotonic() + STOP_WITHIN_S
    for process in bots:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except psutil.TimeoutExpired:
            _quietly(process, "kill")
    for file in folder.glob("*.pid"):
        file.unlink(missing_ok=True)
    return len(bots)


def _quietly(process: psutil.Process, action: str) -> None:
    try:
        getattr(process, action)()
    except psutil.NoSuchProcess:
        return


def _read(file: Path) -> psutil.Process | None:
    try:
        record = json.loads(file.read_text())
        return find_process(int(record["pid"]), float(record["started"]))
    except (OSError, ValueError, KeyError, TypeError):  # a file that is half written or gone names nobody
        return None

"""
The bots that the process launcher of the bots function started.

They outlive the function, so the end of a stack looks for them: one file a bot,
`<session_uid>.pid`, names its process. Where the function was killed before it
wrote that down, the process bears the session's label.
"""

import asyncio
import json
import signal
from pathlib import Path

import psutil

from vexa_local.leftovers import find_process, tell, wait_until_ended

STOP_WITHIN_S = 15.0
"""A bot that is told to end hands over what it has first."""
_KILLED_WITHIN_S = 5.0
_LABEL = "VEXA_BOT_SESSION"
_ROUNDS = 5
"""A bot may start while others are stopped; whoever starts more of them meanwhile is stopped first."""


async def stop_bots(folder: Path) -> int:
    """Tell every bot to end, wait, kill those that stay, until none is left; return how many there were."""
    return await asyncio.to_thread(_stop_bots, folder)


def kill_bots(folder: Path) -> None:
    """End every bot at once."""
    for process in running_bots(folder):
        tell(process, signal.SIGKILL)


def running_bots(folder: Path) -> list[psutil.Process]:
    """Find the living bots."""
    return list(bots_by_session(folder).values())


def bots_by_session(folder: Path) -> dict[str, psutil.Process]:
    """Find the living bots by the session that each attends."""
    found = ((file.stem, _find(file)) for file in sorted(folder.glob("*.pid")))
    return {session_uid: process for session_uid, process in found if process is not None}


def _stop_bots(folder: Path) -> int:
    told: set[psutil.Process] = set()
    for _ in range(_ROUNDS):
        bots = running_bots(folder)
        if not bots:
            break
        told.update(bots)
        for process in bots:
            tell(process, signal.SIGTERM)
        for process in wait_until_ended(bots, timeout_s=STOP_WITHIN_S):
            tell(process, signal.SIGKILL)
        wait_until_ended(bots, timeout_s=_KILLED_WITHIN_S)
    _forget_ended(folder)
    return len(told)


def _forget_ended(folder: Path) -> None:
    """Delete the files that name somebody who has ended; one that is half written may yet name a bot."""
    for file in folder.glob("*.pid"):
        record = _read(file)
        if record is not None and find_process(*record) is None:
            file.unlink(missing_ok=True)


def _find(file: Path) -> psutil.Process | None:
    record = _read(file)
    return _labelled(file.stem) if record is None else find_process(*record)


def _labelled(session_uid: str) -> psutil.Process | None:
    """Find the bot of a session among all processes; what it starts bears the label too, and began later."""
    everybody = psutil.process_iter(["environ", "create_time"])
    bots = [process for process in everybody if (process.info["environ"] or {}).get(_LABEL) == session_uid]
    return min(bots, key=lambda process: float(process.info["create_time"]), default=None)


def _read(file: Path) -> tuple[int, float] | None:
    """Read process id and start time; a file that is half written or gone names nobody."""
    try:
        record = json.loads(file.read_text())
        return int(record["pid"]), float(record["started"])
    except (OSError, ValueError, KeyError, TypeError):
        return None

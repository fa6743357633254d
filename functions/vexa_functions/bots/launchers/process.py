"""
Bots as processes of this machine: the launcher of local-dev.

A bot outlives the function that started it, so what is known of it lies in a
file: the process id and the process's start time, which together name one
process even after its id is used again.
"""

import asyncio
import json
import logging
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from vexa_events.errors import Unavailable
from vexa_functions.bots.launchers.launcher import Exited, Observation, Running, Unknown

logger = logging.getLogger(__name__)

PREFIX = "process:"
PASSED_ON = ("PATH", "HOME", "LANG", "LOG_LEVEL", "VIRTUAL_ENV")
"""A bot sees these of our own environment, and none of our secrets."""


class ProcessLauncher:
    """Starts bots as processes in sessions of their own."""

    def __init__(self, run_dir: Path, command: Sequence[str]) -> None:
        self._run_dir = run_dir
        self._command = command
        self._children: dict[str, int] = {}
        self._exit_codes: dict[str, int] = {}

    async def launch(self, session_uid: str, env: Mapping[str, str]) -> str:
        """Start the command in a session of its own; its output goes where ours goes."""
        own = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        try:
            pid = await asyncio.to_thread(_spawn, self._command, {**own, **env})
            record = json.dumps({"pid": pid, "started": psutil.Process(pid).create_time()})
            await asyncio.to_thread(self._write, session_uid, record)
        except (OSError, psutil.Error) as exc:
            raise Unavailable(f"bot process did not start: {type(exc).__name__}") from exc
        self._children[session_uid] = pid
        return PREFIX + session_uid

    async def observe(self, reference: str) -> Observation:
        """Tell whether the process lives; its exit code is known to the instance that started it."""
        session_uid = reference.removeprefix(PREFIX)
        self._reap(session_uid)
        if session_uid in self._exit_codes:
            return Exited(self._exit_codes[session_uid])
        if not self._record(session_uid).exists():
            return Unknown()
        return Exited(None) if self._find(session_uid) is None else Running()

    async def stop(self, reference: str) -> None:
        """Send SIGTERM."""
        process = self._find(reference.removeprefix(PREFIX))
        if process is not None:
            process.send_signal(signal.SIGTERM)

    def _find(self, session_uid: str) -> psutil.Process | None:
        try:
            record = json.loads(self._record(session_uid).read_text())
            process = psutil.Process(record["pid"])
            alive = process.status() != psutil.STATUS_ZOMBIE
            return process if alive and abs(process.create_time() - record["started"]) < 1.0 else None
        except (FileNotFoundError, psutil.NoSuchProcess):
            return None

    def _reap(self, session_uid: str) -> None:
        pid = self._children.get(session_uid)
        if pid is None:
            return
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            del self._children[session_uid]
            self._exit_codes[session_uid] = os.waitstatus_to_exitcode(status)

    def _write(self, session_uid: str, record: str) -> None:
        self._run_dir.mkdir(parents=True, exist_ok=True)
        self._record(session_uid).write_text(record)

    def _record(self, session_uid: str) -> Path:
        return self._run_dir / f"{session_uid}.pid"


def _spawn(command: Sequence[str], env: Mapping[str, str]) -> int:
    nothing = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
    return os.posix_spawnp(command[0], list(command), env, file_actions=[nothing], setsid=True)

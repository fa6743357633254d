"""
Bots as processes of this machine: the launcher of local-dev.

A bot outlives the function that started it, so what is known of it lies in a
file: the process id and the process's start time, which together name one
process even after its id is used again. The file is there, empty, before the
process is: whoever finds it so looks for a process that bears the session's
label. One bot is started at a time; the folder is the lock.
"""

import asyncio
import contextlib
import fcntl
import json
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil

from vexa_events.errors import Unavailable
from vexa_functions.bots.launchers.launcher import Exited, Found, NewBot, Observation, Running, Unknown

PREFIX = "process:"
SUFFIX = ".pid"
PASSED_ON = ("PATH", "HOME", "LANG", "LOG_LEVEL", "VIRTUAL_ENV")
"""A bot sees these of our own environment, and none of our secrets."""
LABEL = "VEXA_BOT_SESSION"
"""Tells of a process whose bot it is."""
START_TOLERANCE_S = 0.05
KILL_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class _Record:
    """What a file tells of a process."""

    pid: int
    started: float


class ProcessLauncher:
    """Starts bots as processes in sessions of their own."""

    def __init__(self, run_dir: Path, command: Sequence[str]) -> None:
        self._run_dir = run_dir
        self._command = command
        self._children: dict[str, int] = {}
        self._exit_codes: dict[str, int] = {}

    async def launch(self, bot: NewBot) -> str:
        """Start the command in a process session of its own; its output goes where ours goes."""
        try:
            await asyncio.to_thread(self._launch, bot)
        except (OSError, psutil.Error) as exc:
            raise Unavailable(f"bot process did not start: {self._command[0]}: {_words(exc)}") from exc
        return PREFIX + bot.session_uid

    async def observe(self, reference: str) -> Observation:
        """Tell whether the process lives; its exit code is known to the instance that started it."""
        if not reference.startswith(PREFIX):
            return Unknown()
        session_uid = reference.removeprefix(PREFIX)
        self._reap(session_uid)
        if session_uid in self._exit_codes:
            return Exited(self._exit_codes[session_uid])
        if _read(self._file(session_uid)) is None:
            return Unknown()
        return Exited(None) if self._find(session_uid) is None else Running()

    async def stop(self, reference: str) -> None:
        """Send SIGTERM to the process, which ends what it started."""
        process = self._find(reference.removeprefix(PREFIX))
        if process is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGTERM)

    async def kill(self, reference: str) -> None:
        """Send SIGKILL to the process and all that is left in its group."""
        process = self._find(reference.removeprefix(PREFIX))
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    async def remove(self, reference: str) -> None:
        """End the process and delete its file."""
        await self.kill(reference)
        session_uid = reference.removeprefix(PREFIX)
        if session_uid in self._children:
            async with asyncio.timeout(KILL_TIMEOUT_S):
                await asyncio.to_thread(os.waitpid, self._children.pop(session_uid), 0)
        self._exit_codes.pop(session_uid, None)
        self._file(session_uid).unlink(missing_ok=True)

    async def found(self) -> list[Found]:
        """List the bots that have a file, whoever was started and not written down included."""
        try:
            records = await asyncio.to_thread(self._records)
        except (OSError, psutil.Error) as exc:
            raise Unavailable(f"bot processes cannot be listed: {_words(exc)}") from exc
        return [
            Found(
                reference=PREFIX + session_uid,
                session_uid=session_uid,
                started_at=datetime.fromtimestamp(psutil.boot_time() + record.started, UTC),
            )
            for session_uid, record in records.items()
        ]

    def _launch(self, bot: NewBot) -> None:
        self._run_dir.mkdir(parents=True, exist_ok=True)
        file = self._file(bot.session_uid)
        with _locked(self._run_dir):
            if not file.exists():
                file.touch()
                self._start(bot)
            elif _written_down(file) is None:
                self._start(bot)

    def _records(self) -> dict[str, _Record]:
        files = sorted(self._run_dir.glob(f"*{SUFFIX}"))
        found = {file.stem: _read(file) for file in files}
        if None in found.values():
            with _locked(self._run_dir):  # whoever is about to write has written by then
                found = {file.stem: _written_down(file) for file in files if file.exists()}
        return {session_uid: record for session_uid, record in found.items() if record is not None}

    def _start(self, bot: NewBot) -> None:
        own = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        file, pid = self._file(bot.session_uid), None
        try:
            pid = _spawn(self._command, {**own, **bot.env, LABEL: bot.session_uid})
            _write(file, psutil.Process(pid))
        except (OSError, psutil.Error):
            file.unlink(missing_ok=True)
            if pid is not None:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            raise
        self._children[bot.session_uid] = pid

    def _find(self, session_uid: str) -> psutil.Process | None:
        record = _read(self._file(session_uid))
        if record is None:
            return None
        try:
            process = psutil.Process(record.pid)
            alive = process.status() != psutil.STATUS_ZOMBIE
            return process if alive and abs(seconds_after_boot(process) - record.started) < START_TOLERANCE_S else None
        except psutil.NoSuchProcess:
            return None

    def _reap(self, session_uid: str) -> None:
        pid = self._children.get(session_uid)
        if pid is None:
            return
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            del self._children[session_uid]
            code = os.waitstatus_to_exitcode(status)
            self._exit_codes[session_uid] = code if code >= 0 else 128 - code

    def _file(self, session_uid: str) -> Path:
        return self._run_dir / f"{session_uid}{SUFFIX}"


def seconds_after_boot(process: psutil.Process) -> float:
    """Tell when a process started, on a clock that setting the wall clock does not move."""
    return float(process.create_time() - psutil.boot_time())


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _written_down(file: Path) -> _Record | None:
    """Read a file, and write it first where somebody started the bot who vanished before doing so."""
    if _read(file) is None and (orphan := _labelled(file.stem)) is not None:
        _write(file, orphan)
    return _read(file)


def _labelled(session_uid: str) -> psutil.Process | None:
    for process in psutil.process_iter(["environ"]):
        if (process.info["environ"] or {}).get(LABEL) == session_uid and _leads_a_session(process.pid):
            return process
    return None


def _leads_a_session(pid: int) -> bool:
    try:
        return os.getsid(pid) == pid
    except ProcessLookupError:
        return False


def _write(file: Path, process: psutil.Process) -> None:
    file.write_text(json.dumps({"pid": process.pid, "started": seconds_after_boot(process)}))


def _spawn(command: Sequence[str], env: Mapping[str, str]) -> int:
    nothing = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
    return os.posix_spawnp(command[0], list(command), env, file_actions=[nothing], setsid=True)


def _read(file: Path) -> _Record | None:
    """Read a file; one that is gone or half written names nobody."""
    try:
        fields = json.loads(file.read_text())
        return _Record(int(fields["pid"]), float(fields["started"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _words(exc: OSError | psutil.Error) -> str:
    return exc.strerror or type(exc).__name__ if isinstance(exc, OSError) else type(exc).__name__

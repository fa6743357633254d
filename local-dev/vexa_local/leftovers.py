"""Processes that outlived the run which started them: recognised by their command line, then stopped."""

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

_POLL_S = 0.05
_PS_TIMEOUT_S = 5.0


def command_of(pid: int) -> str:
    """Return the command line of a process, or an empty string where none runs under this number."""
    if Path("/proc/self").exists():
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            return ""
    listed = subprocess.run(
        ["ps", "-o", "command=", "-p", str(pid)],
        capture_output=True,
        text=True,
        timeout=_PS_TIMEOUT_S,
        check=False,
    )
    return listed.stdout.strip()


def stop_and_wait(pid: int, stop_signal: signal.Signals, *, timeout_s: float) -> None:
    """Send the signal and block until the process is gone; kill it when it stays."""
    deadline = time.monotonic() + timeout_s
    send(pid, stop_signal)
    while command_of(pid) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    if command_of(pid):
        send(pid, signal.SIGKILL)


def send(pid: int, stop_signal: signal.Signals) -> None:
    """Signal a process; one that is gone already is no fault."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, stop_signal)

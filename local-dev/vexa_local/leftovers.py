"""Processes that outlived the run which started them: recognised beyond doubt, then stopped."""

import signal
import time
from collections.abc import Sequence

import psutil

from vexa_functions.bots.launchers.process import seconds_after_boot

_POLL_S = 0.02
_KILLED_WITHIN_S = 5.0
_START_TOLERANCE_S = 0.05


def command_of(pid: int) -> str:
    """Return the command line of a process, or an empty string where none runs under this number."""
    try:
        return " ".join(psutil.Process(pid).cmdline())
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return ""


def find_process(pid: int, started: float) -> psutil.Process | None:
    """Find the living process that got this number at this time: numbers are used again, pairs are not."""
    try:
        process = psutil.Process(pid)
        is_it = abs(seconds_after_boot(process) - started) < _START_TOLERANCE_S
    except psutil.NoSuchProcess:
        return None
    return process if is_it and is_alive(process) else None


def is_alive(process: psutil.Process) -> bool:
    """Tell whether it still runs; one that only waits for its parent to notice its end does not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def wait_until_ended(processes: Sequence[psutil.Process], *, timeout_s: float) -> list[psutil.Process]:
    """Block until none of them is alive; return those that are after the time."""
    deadline = time.monotonic() + timeout_s
    while (living := [process for process in processes if is_alive(process)]) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    return living


def tell(process: psutil.Process, number: signal.Signals) -> None:
    """Send a signal; one that has ended in the meantime does not mind."""
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return


def stop_and_wait(process: psutil.Process, stop_signal: signal.Signals, *, timeout_s: float) -> None:
    """Send the signal and block until the process is gone; kill it when it stays."""
    tell(process, stop_signal)
    for living in wait_until_ended([process], timeout_s=timeout_s):
        tell(living, signal.SIGKILL)
    wait_until_ended([process], timeout_s=_KILLED_WITHIN_S)

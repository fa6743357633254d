"""Processes that outlived the run which started them: recognised beyond doubt, then stopped."""

import signal

import psutil


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
        is_it = abs(process.create_time() - started) < 1.0 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return None
    return process if is_it else None


def stop_and_wait(process: psutil.Process, stop_signal: signal.Signals, *, timeout_s: float) -> None:
    """Send the signal and block until the process is gone; kill it when it stays."""
    try:
        process.send_signal(stop_signal)
        process.wait(timeout_s)
    except psutil.TimeoutExpired:
        process.kill()
    except psutil.NoSuchProcess:
        return

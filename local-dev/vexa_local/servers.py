"""Runs one embedded server for as long as a `with` block lasts; what tests need of Postgres and Valkey."""

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

from vexa_local.errors import StartFailed
from vexa_local.ports import require_free

_POLL_S = 0.02
_STOP_TIMEOUT_S = 15.0


class Server(Protocol):
    """An embedded server, described but not yet running."""

    @property
    def name(self) -> str: ...

    @property
    def port(self) -> int: ...

    @property
    def stop_signal(self) -> signal.Signals: ...

    def prepare(self) -> None:
        """Make ready what the command needs; blocks for up to some seconds at the first start."""

    def command(self) -> list[str]: ...

    def is_ready(self) -> bool: ...


S = TypeVar("S", bound=Server)


@contextmanager
def running(server: S, *, log_file: Path, timeout_s: float = 30.0) -> Iterator[S]:
    """Start the server, wait until it answers, stop it at the end; blocks."""
    server.prepare()
    require_free(server.port, server.name)
    with log_file.open("wb") as log:
        process = subprocess.Popen(server.command(), stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        _wait_until_ready(server, process, log_file=log_file, timeout_s=timeout_s)
        yield server
    finally:
        process.send_signal(server.stop_signal)
        try:
            process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(_STOP_TIMEOUT_S)


def _wait_until_ready(server: Server, process: subprocess.Popen[bytes], *, log_file: Path, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not server.is_ready():
        if process.poll() is not None:
            raise StartFailed(f"{server.name} ended with {process.returncode}: {_tail(log_file)}")
        if time.monotonic() > deadline:
            raise StartFailed(f"{server.name} did not answer on port {server.port} within {timeout_s:g} s")
        time.sleep(_POLL_S)


def _tail(log_file: Path) -> str:
    return log_file.read_text(errors="replace")[-2_000:].strip()

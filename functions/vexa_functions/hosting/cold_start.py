"""How long this process took from its start to its first answer, waiting for a request left out."""

import os
from pathlib import Path

from vexa_functions.hosting.metrics import COLD_START

_STARTED_AT_TICKS = 19
"""Where the time of the start stands in /proc/self/stat, behind the name of the program."""


class ColdStart:
    """Told when the process can answer, and when it has."""

    def __init__(self) -> None:
        self._ready_after_s: float | None = None

    def ready(self, after_s: float | None) -> None:
        """Requests are taken from now on, so long after the process began."""
        self._ready_after_s = after_s

    def answered(self, took_s: float) -> None:
        """A request was answered; only the first one counts."""
        if self._ready_after_s is not None:
            COLD_START.set_all({(): self._ready_after_s + took_s})
            self._ready_after_s = None


THIS = ColdStart()
"""That of this process."""


def process_age_s() -> float | None:
    """Return how long this process has run; None where the system does not tell."""
    try:
        of_process = Path("/proc/self/stat").read_text()
        of_system = Path("/proc/uptime").read_text()
    except OSError:
        return None
    started_at_s = int(of_process.rpartition(")")[2].split()[_STARTED_AT_TICKS]) / os.sysconf("SC_CLK_TCK")
    return float(of_system.split()[0]) - started_at_s

"""What a server costs while it is tested: cores and memory of its process, and what neighbours use."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import psutil

from vexa_events.errors import InvalidMessage

LOOK_EVERY_S = 0.5
LEAST_SLOPE_S = 60.0
"""Shorter runs say nothing of a slope."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Averages over a run; memory is the peak."""

    server_cores: float | None
    """None where no process was named."""
    tester_cores: float
    other_cores: float
    """Used by everything else on the machine: figures hold only where it is near zero."""
    rss_mb: float | None
    rss_slope_mb_per_h: float | None
    """What memory grew by after the first quarter, as a line through all that was seen; None for a short run."""


class ProcessWatch:
    """Looks at processes until told to stop."""

    def __init__(self, pid: int | None) -> None:
        """Raise InvalidMessage where no such process runs."""
        self._server = _process(pid) if pid is not None else None
        self._rss_at: list[tuple[float, int]] = []
        """Bytes, and when that was."""

    async def during(self, stop: asyncio.Event) -> Cost:
        """Watch until `stop` is set."""
        server = self._server
        own = psutil.Process()
        began = (time.monotonic(), _cpu_s(server), _cpu_s(own), _busy_s())
        while not stop.is_set():
            if server is not None:
                self._rss_at.append((time.monotonic(), server.memory_info().rss))
            try:
                async with asyncio.timeout(LOOK_EVERY_S):
                    await stop.wait()
            except TimeoutError:
                continue
        ended = (time.monotonic(), _cpu_s(server), _cpu_s(own), _busy_s())
        passed_s, server_s, own_s, busy_s = (after - before for after, before in zip(ended, began, strict=True))
        return Cost(
            server_cores=server_s / passed_s if server is not None else None,
            tester_cores=own_s / passed_s,
            other_cores=max(0.0, busy_s - server_s - own_s) / passed_s,
            rss_mb=max((rss for _, rss in self._rss_at), default=0) / 1e6 if server is not None else None,
            rss_slope_mb_per_h=slope_mb_per_h(self._rss_at),
        )


def slope_mb_per_h(rss_at: Sequence[tuple[float, int]]) -> float | None:
    """Fit a line to bytes over seconds, the first quarter left out: there a server still warms up."""
    settled = rss_at[len(rss_at) // 4 :]
    if not settled or settled[-1][0] - settled[0][0] < LEAST_SLOPE_S:
        return None
    passed_s, rss = (np.array(values, np.float64) for values in zip(*settled, strict=True))
    return float(np.polyfit(passed_s - passed_s[0], rss, 1)[0]) * 3_600 / 1e6


def _process(pid: int) -> psutil.Process:
    try:
        return psutil.Process(pid)
    except psutil.NoSuchProcess as exc:
        raise InvalidMessage(f"there is no process {pid} to watch") from exc


def _cpu_s(process: psutil.Process | None) -> float:
    if process is None:
        return 0.0
    times = process.cpu_times()
    return times.user + times.system


def _busy_s() -> float:
    times = psutil.cpu_times()
    return sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0)

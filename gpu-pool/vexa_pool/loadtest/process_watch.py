"""What a server costs while it is tested: cores and memory of its process, and what neighbours use."""

import asyncio
import time
from dataclasses import dataclass

import psutil

from vexa_events.errors import InvalidMessage

LOOK_EVERY_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Averages over a run; memory is the peak."""

    server_cores: float | None
    """None where no process was named."""
    tester_cores: float
    other_cores: float
    """Used by everything else on the machine: figures hold only where it is near zero."""
    rss_mb: float | None


class ProcessWatch:
    """Looks at processes until told to stop."""

    def __init__(self, pid: int | None) -> None:
        """Raise InvalidMessage where no such process runs."""
        self._server = _process(pid) if pid is not None else None
        self._rss: list[int] = []

    async def during(self, stop: asyncio.Event) -> Cost:
        """Watch until `stop` is set."""
        server = self._server
        own = psutil.Process()
        began = (time.monotonic(), _cpu_s(server), _cpu_s(own), _busy_s())
        while not stop.is_set():
            if server is not None:
                self._rss.append(server.memory_info().rss)
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
            rss_mb=max(self._rss, default=0) / 1e6 if server is not None else None,
        )


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

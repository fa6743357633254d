"""What a stack remembers of its processes on disk, for the case that it is killed."""

import itertools
import json
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from vexa_functions.bots.launchers.process import seconds_after_boot
from vexa_local.leftovers import find_process


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """A living process of an earlier run."""

    name: str
    process: psutil.Process
    stop_signal: signal.Signals
    stage: int
    """What started in a later stage stops in an earlier one."""


class Records:
    """The file that names the processes of one stack."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._by_name: dict[str, dict[str, float]] = {}

    def remember(self, name: str, pid: int, *, stop_signal: signal.Signals, stage: int) -> None:
        """Write down a process that has started; the file is replaced in one step."""
        try:
            started = seconds_after_boot(psutil.Process(pid))
        except psutil.NoSuchProcess:
            return
        self._by_name[name] = {"pid": pid, "started": started, "stop_signal": stop_signal, "stage": stage}
        fresh = self._file.with_suffix(".new")
        fresh.write_text(json.dumps(self._by_name))
        fresh.replace(self._file)

    def forget(self) -> None:
        """Delete the file."""
        self._file.unlink(missing_ok=True)

    def leftovers(self) -> list[list[Leftover]]:
        """
        List what still runs, by stages, the last one first.

        Raises ValueError where the file is not one of ours.
        """
        if not self._file.exists():
            return []
        try:
            found = [_find(name, record) for name, record in json.loads(self._file.read_text()).items()]
        except (AttributeError, KeyError, TypeError) as exc:
            raise ValueError(f"{self._file} has another form") from exc
        living = sorted((one for one in found if one is not None), key=_stage, reverse=True)
        return [list(stage) for _, stage in itertools.groupby(living, key=_stage)]


def _find(name: str, record: dict[str, Any]) -> Leftover | None:
    process = find_process(int(record["pid"]), float(record["started"]))
    if process is None:
        return None
    stop_signal = signal.Signals(record.get("stop_signal", signal.SIGTERM))
    return Leftover(name=name, process=process, stop_signal=stop_signal, stage=int(record.get("stage", 0)))


def _stage(leftover: Leftover) -> int:
    return leftover.stage

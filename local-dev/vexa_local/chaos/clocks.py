"""
Wall clocks that can be stepped, one for each process of the stack and one for all bots.

libfaketime, preloaded, adds to the time of day what the process's file says;
the monotonic clock goes on as it does when a machine's clock is set. The real
clock of the machine is left alone. `time.sleep` fails in such a process; those
of the stack have no need of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

REREAD_S = 1
"""So long after a step at most every process has it."""
_FOLDERS = ("/usr/lib/*/faketime", "/usr/lib/faketime", "/usr/local/lib/faketime")
_RIGHT = "+0"


@dataclass(frozen=True, slots=True)
class Clocks:
    """The clocks of one stack."""

    folder: Path
    """Readable by every process, whoever it runs as."""
    library: Path | None

    def environment(self, name: str) -> Mapping[str, str]:
        """Spell what gives a process its own clock; nothing where clocks cannot be stepped."""
        if self.library is None:
            return {}
        self.set_right(name)
        return {
            "LD_PRELOAD": str(self.library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file(name)),
            "FAKETIME_CACHE_DURATION": str(REREAD_S),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DISABLE_SHM": "1",
        }

    def step(self, name: str, by_s: float) -> None:
        """Move a clock against the machine's."""
        self._write(name, f"{by_s:+.3f}")

    def set_right(self, name: str) -> None:
        """Let a clock show the machine's time."""
        self._write(name, _RIGHT)

    def _write(self, name: str, offset: str) -> None:
        """Replace the file in one step: a process that reads half a file has no clock."""
        self.folder.mkdir(parents=True, exist_ok=True)
        scratch = self._file(f"{name}.new")
        scratch.write_text(f"{offset}\n")
        scratch.replace(self._file(name))

    def _file(self, name: str) -> Path:
        return self.folder / name


def find_library() -> Path | None:
    """Locate libfaketime, which Debian has as a package of this name; None where it is missing."""
    folders = (Path(folder) for folder in _FOLDERS)
    found = (file for folder in folders for file in Path("/").glob(f"{folder.relative_to('/')}/libfaketime.so.1"))
    return next(found, None)

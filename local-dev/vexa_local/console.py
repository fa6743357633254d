"""Shows the log lines of many processes, each with its name in front, in a colour of its own."""

import json
import sys
from pathlib import Path
from typing import TextIO

_COLOURS = (36, 32, 33, 35, 34, 96, 92, 93, 95, 94)
_DIM, _RED, _YELLOW, _BOLD = 2, 31, 33, 1
_COLOUR_BY_LEVEL = {"DEBUG": _DIM, "WARNING": _YELLOW, "ERROR": _RED, "CRITICAL": _RED}
_KNOWN = frozenset({"time", "level", "logger", "message", "traceback"})
_NAME_WIDTH = 10


class Console:
    """Writes to the terminal; on anything else, without colours."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_terminal = stream.isatty()
        self._colours: dict[str, int] = {}

    def line(self, name: str, text: str) -> None:
        """Show one line of a process, JSON log lines in words."""
        colour = self._colours.setdefault(name, _COLOURS[len(self._colours) % len(_COLOURS)])
        level, words = in_words(text)
        body = self._paint(words, _COLOUR_BY_LEVEL[level]) if level in _COLOUR_BY_LEVEL else words
        self._write(f"{self._paint(f'{name:<{_NAME_WIDTH}}', colour)} {body}")

    def note(self, text: str) -> None:
        """Show one line of our own."""
        self._write(self._paint(text, _BOLD))

    def _paint(self, text: str, colour: int) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._is_terminal else text

    def _write(self, text: str) -> None:
        print(text, file=self._stream, flush=True)


class LogFiles:
    """Writes each process's lines as they are to a file of its own; our own notes to one more."""

    def __init__(self, folder: Path) -> None:
        """Start every file afresh."""
        self._folder = folder
        self._files: dict[str, TextIO] = {}

    def line(self, name: str, text: str) -> None:
        """Append one line of a process."""
        if name not in self._files:
            self._files[name] = (self._folder / f"{name}.log").open("w", buffering=1)
        self._files[name].write(text + "\n")

    def note(self, text: str) -> None:
        """Append one line of our own."""
        self.line("local", text)

    def close(self) -> None:
        """Close every file."""
        for file in self._files.values():
            file.close()


def terminal() -> Console:
    """Return the console of this process."""
    return Console(sys.stdout)


def in_words(text: str) -> tuple[str, str]:
    """Turn a JSON log line into its level and a readable line; other text stays as it is."""
    try:
        record = json.loads(text) if text.startswith("{") else None
    except ValueError:
        record = None
    if not isinstance(record, dict) or "message" not in record:
        return "", text
    facts = " ".join(f"{name}={value}" for name, value in record.items() if name not in _KNOWN)
    traceback = f"\n{record['traceback']}" if record.get("traceback") else ""
    level = str(record.get("level", ""))
    shown = "" if level == "INFO" else f"{level} "
    return level, f"{shown}{record['message']} {facts}".rstrip() + traceback

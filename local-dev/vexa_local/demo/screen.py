"""Draws the growing transcript: in place on a terminal, line by line elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from vexa_events.identity import BotStatus
from vexa_local.demo.board import Board, Line

COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "red")
UNKNOWN = "Unknown"
_ROOM_FOR_FRAME = 6
_BAR_WIDTH = 40


class Screen:
    """A terminal that is redrawn with every change."""

    def __init__(self, console: Console, *, title: str, length_s: float | None) -> None:
        """`length_s` is how long the recording plays, where that is known."""
        self._console = console
        self._title = title
        self._length_s = length_s
        self._active_since: float | None = None
        self._live = Live(console=console, refresh_per_second=8, transient=True)

    @contextmanager
    def open(self) -> Iterator["Screen"]:
        """Draw for as long as the block lasts."""
        with self._live:
            yield self

    def show(self, board: Board) -> None:
        """Draw what is known now."""
        if board.status is BotStatus.ACTIVE and self._active_since is None:
            self._active_since = time.monotonic()
        played_s = 0.0 if self._active_since is None else time.monotonic() - self._active_since
        self._live.update(Group(self._head(board, played_s), self._body(board)))

    def _head(self, board: Board, played_s: float) -> Table:
        head = Table.grid(padding=(0, 2))
        status = board.status or BotStatus.REQUESTED
        cells: list[RenderableType] = [Text(self._title, style="bold"), Text(status, style="bold green")]
        if self._length_s is None:
            head.add_row(*cells, Text(clock(played_s), style="dim"))
        else:
            played_s = min(played_s, self._length_s)
            bar = ProgressBar(total=self._length_s, completed=played_s, width=_BAR_WIDTH)
            head.add_row(*cells, bar, Text(f"{clock(played_s)} / {clock(self._length_s)}", style="dim"))
        return head

    def _body(self, board: Board) -> Table:
        return transcript_table(list(board.lines())[-(self._console.height - _ROOM_FOR_FRAME) :], board.speakers())


class PlainLines:
    """Anything that is not a terminal: each committed line once, each status once."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown: set[str] = set()
        self._status: BotStatus | None = None

    @contextmanager
    def open(self) -> Iterator["PlainLines"]:
        """There is nothing to prepare."""
        yield self

    def show(self, board: Board) -> None:
        """Print what is new."""
        if board.status is not None and board.status is not self._status:
            self._status = board.status
            self._print(f"bot is {board.status}")
        for line, is_draft in board.lines():
            if not is_draft and line.segment_id not in self._shown:
                self._shown.add(line.segment_id)
                self._print(f"[{clock(line.start)}] {line.speaker or UNKNOWN}: {line.text.strip()}")

    def _print(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


def transcript_table(lines: list[tuple[Line, bool]], speakers: list[str]) -> Table:
    """Lay out lines: time, speaker in a colour of their own, text; drafts are dim."""
    table = Table.grid(padding=(0, 1))
    for line, is_draft in lines:
        name = line.speaker or UNKNOWN
        colour = COLOURS[speakers.index(name) % len(COLOURS)] if name in speakers else "white"
        table.add_row(
            Text(clock(line.start), style="dim"),
            Text(name, style=f"bold {colour}"),
            Text(line.text.strip(), style="dim italic" if is_draft else ""),
        )
    return table


def clock(position_s: float) -> str:
    """Spell a position as minutes and seconds."""
    return f"{int(position_s // 60):02d}:{int(position_s % 60):02d}"

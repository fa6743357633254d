"""Draws a run: a row for each seed, its faults where they lie in time, and what they led to."""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from vexa_local.chaos.faults import BOT, COMMANDS, FaultKind

WIDTH, LEFT, RIGHT = 1_000, 64, 240
TOP, ROW, BOTTOM = 62, 16, 30
HELD, BROKEN = "#2e8b57", "#c62828"
_GRID, _CALM, _PLAYED = "#dddddd", "#eef2f6", "#d5dee8"
_SVG = 'xmlns="http://www.w3.org/2000/svg" font-family="sans-serif" font-size="10"'
_BACKGROUND = '<rect width="100%" height="100%" fill="white"/>'
_DISTURBED = {FaultKind.REPEAT, FaultKind.REVERSE, FaultKind.DROP, FaultKind.REFUSE}
_COLOURS = {
    "killed": "#c62828",
    "bot killed": "#000000",
    "paused": "#f59f00",
    "clock stepped": "#8e44ad",
    "link": "#1c6fb8",
    "events, webhooks": "#00897b",
    "a user's command": "#ec407a",
}
_GRID_STEPS_S = (10, 20, 50, 100, 200, 500, 1_000)
_MOST_LINES = 12


def plot(report: Mapping[str, Any]) -> str:
    """Draw what `report.as_json` spells, as SVG."""
    outcomes = report["outcomes"]
    most_s = max([outcome["played_s"] + outcome["settled_s"] for outcome in outcomes], default=0.0) or 1.0
    scale = (WIDTH - LEFT - RIGHT) / most_s
    height = TOP + ROW * len(outcomes) + BOTTOM
    parts = [f'<svg {_SVG} viewBox="0 0 {WIDTH} {height}">', _BACKGROUND, *_heading(report)]
    parts += _grid(most_s, scale, floor=height - BOTTOM)
    for number, outcome in enumerate(outcomes):
        parts += _row(outcome, y=TOP + ROW * number, scale=scale)
    return "\n".join([*parts, "</svg>", ""])


def _heading(report: Mapping[str, Any]) -> Iterator[str]:
    told = (
        f"{report['held']} of {report['seeds']} seeds held, {report['meetings']} meetings at once, "
        f"{report['words']['due']} words due, {report['words']['lost']} lost, {report['words']['extra']} too many"
    )
    yield _text(LEFT, 16, told, size=12)
    x = LEFT
    for name, colour in _COLOURS.items():
        yield f'<rect x="{x}" y="26" width="8" height="8" fill="{colour}"/>'
        yield _text(x + 11, 34, name)
        x += 24 + 6 * len(name)
    yield _text(WIDTH - RIGHT + 8, TOP - 8, "words")
    yield _text(WIDTH - RIGHT + 48, TOP - 8, "missing s")
    yield _text(WIDTH - RIGHT + 104, TOP - 8, "outcome")


def _grid(most_s: float, scale: float, *, floor: int) -> Iterator[str]:
    step_s = next((step_s for step_s in _GRID_STEPS_S if most_s / step_s <= _MOST_LINES), _GRID_STEPS_S[-1])
    for at_s in range(0, int(most_s) + 1, step_s):
        x = LEFT + at_s * scale
        yield f'<line x1="{x:.1f}" y1="{TOP - 4}" x2="{x:.1f}" y2="{floor}" stroke="{_GRID}"/>'
        yield _text(x, floor + 12, str(at_s), anchor="middle")
    yield _text(LEFT, floor + 25, "seconds; dark: meetings and faults, light: until nothing was left to do")


def _row(outcome: Mapping[str, Any], *, y: int, scale: float) -> Iterator[str]:
    played, settled = outcome["played_s"] * scale, outcome["settled_s"] * scale
    colour = HELD if outcome["held"] else BROKEN
    middle = y + ROW - 5
    yield _text(LEFT - 6, middle, str(outcome["seed"]), anchor="end", colour=colour)
    yield _box(LEFT, y + 3, played, ROW - 6, _PLAYED)
    yield _box(LEFT + played, y + 3, settled, ROW - 6, _CALM)
    for fault in outcome["faults"]:
        if not fault["missed"]:
            yield _mark(fault, y=y, scale=scale)
    rules = sorted({finding["rule"] for finding in outcome["findings"]})
    yield _text(WIDTH - RIGHT + 8, middle, str(outcome["words"]["due"]))
    yield _text(WIDTH - RIGHT + 48, middle, f"{outcome['missing_s']:.1f}")
    yield _text(WIDTH - RIGHT + 104, middle, "held" if outcome["held"] else ", ".join(rules), colour=colour)


def _mark(fault: Mapping[str, Any], *, y: int, scale: float) -> str:
    """A bar as long as the fault lasted; higher for what is over at once."""
    x, width = LEFT + fault["at_s"] * scale, max(2.0, fault["duration_s"] * scale)
    is_short = not fault["duration_s"]
    top, height = (y + 1, ROW - 2) if is_short else (y + 5, ROW - 10)
    return _box(x, top, width, height, _COLOURS[_sort(fault)], title=fault["told"])


def _sort(fault: Mapping[str, Any]) -> str:
    kind = FaultKind(fault["kind"])
    if kind in COMMANDS:
        return "a user's command"
    if kind in _DISTURBED:
        return "events, webhooks"
    by_kind = {FaultKind.PAUSE: "paused", FaultKind.STEP: "clock stepped", FaultKind.EMPTY: "killed"}
    if kind is FaultKind.KILL:
        return "bot killed" if fault["target"] == BOT else "killed"
    return by_kind.get(kind, "link")


def _box(x: float, y: float, width: float, height: float, colour: str, *, title: str = "") -> str:
    told = f"<title>{escape(title)}</title>" if title else ""
    place = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
    return f'<rect {place} fill="{colour}">{told}</rect>'


def _text(x: float, y: float, text: str, *, size: int = 10, anchor: str = "start", colour: str = "#222222") -> str:
    style = f'font-size="{size}" text-anchor="{anchor}" fill="{colour}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(text)}</text>'

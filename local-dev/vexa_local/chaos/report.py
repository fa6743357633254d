"""What a run found, for people and for programs: a table, a JSON file, a plot."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from vexa_local.chaos.trial import Outcome

_BAR, _GAP, _HEIGHT, _LEFT, _TOP, _BOTTOM = 14, 4, 180, 48, 34, 46
_SVG = 'xmlns="http://www.w3.org/2000/svg" font-family="sans-serif" font-size="10"'
_HEADING = "Seconds from the last fault until nothing was left to do, by seed"
_GOOD, _BAD, _DEATH = "#3b7dd8", "#d33c3c", "#333333"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """What the seeds of a run have in common."""

    engine: str
    meetings: int
    length_s: float
    broken: str | None
    wall_s: float


def seed_lines(outcome: Outcome) -> list[str]:
    """Tell one outcome in words, findings included."""
    verdict = "held" if outcome.is_good else f"{len(outcome.findings)} findings"
    words = outcome.words
    first = (
        f"seed {outcome.seed}: {verdict}; {words.due} words due, {words.lost} lost, {words.extra} too many; "
        f"{outcome.missing_s:.1f} s missing, {outcome.deaths} bots killed; settled after {outcome.settled_s:.0f} s"
    )
    return [first, *(f"    {finding}" for finding in outcome.findings)]


def print_table(console: Console, outcomes: Sequence[Outcome]) -> None:
    """Show every seed in a line."""
    table = Table(title="Chaos", title_justify="left")
    for heading in (
        "seed",
        "faults",
        "words",
        "lost",
        "extra",
        "missing s",
        "deaths",
        "settled s",
        "outcome",
    ):
        table.add_column(heading, justify="left" if heading == "outcome" else "right")
    for outcome in outcomes:
        rules = ", ".join(sorted({finding.rule for finding in outcome.findings}))
        table.add_row(
            str(outcome.seed),
            str(len(outcome.faults)),
            str(outcome.words.due),
            str(outcome.words.lost),
            str(outcome.words.extra),
            f"{outcome.missing_s:.1f}",
            str(outcome.deaths),
            f"{outcome.settled_s:.0f}",
            "[green]held[/]" if outcome.is_good else f"[red]{rules}[/]",
        )
    console.print(table)


def as_json(facts: RunFacts, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Spell a run for programs."""
    totals = {name: sum(getattr(outcome.words, name) for outcome in outcomes) for name in ("due", "lost", "extra")}
    return {
        **asdict(facts),
        "seeds": len(outcomes),
        "held": sum(outcome.is_good for outcome in outcomes),
        "words": totals,
        "outcomes": [_outcome_as_json(outcome) for outcome in outcomes],
    }


def write_report(file: Path, facts: RunFacts, outcomes: Sequence[Outcome]) -> None:
    """Write the JSON file, with the plot beside it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(as_json(facts, outcomes), indent=2) + "\n")
    file.with_suffix(".svg").write_text(plot(outcomes))


def plot(outcomes: Sequence[Outcome]) -> str:
    """Draw a bar for each seed: how long it took to settle; red where it did not hold, a dot for a killed bot."""
    width = _LEFT + len(outcomes) * (_BAR + _GAP) + 20
    most_s = max([outcome.settled_s for outcome in outcomes], default=0.0) or 1.0
    floor = _TOP + _HEIGHT
    parts = [
        f'<svg {_SVG} width="{max(width, 360)}" height="{floor + _BOTTOM}">',
        f'<text x="{_LEFT}" y="16" font-size="12">{_HEADING}</text>',
        f'<text x="{_LEFT - 6}" y="{_TOP + 4}" text-anchor="end">{most_s:.0f}</text>',
        f'<text x="{_LEFT - 6}" y="{floor}" text-anchor="end">0</text>',
        f'<line x1="{_LEFT}" y1="{floor}" x2="{width - 10}" y2="{floor}" stroke="black"/>',
    ]
    for number, outcome in enumerate(outcomes):
        parts += _bar(outcome, x=_LEFT + 4 + number * (_BAR + _GAP), floor=floor, scale=_HEIGHT / most_s)
    held = sum(outcome.is_good for outcome in outcomes)
    told = f"{held} of {len(outcomes)} seeds held (blue); red: findings; dot: a bot was killed"
    return "\n".join([*parts, f'<text x="{_LEFT}" y="{floor + 38}">{escape(told)}</text>', "</svg>", ""])


def _bar(outcome: Outcome, *, x: int, floor: int, scale: float) -> list[str]:
    height = max(1.0, outcome.settled_s * scale)
    colour = _GOOD if outcome.is_good else _BAD
    title = escape("\n".join([*seed_lines(outcome), *map(str, outcome.faults)]))
    parts = [
        f'<rect x="{x}" y="{floor - height:.1f}" width="{_BAR}" height="{height:.1f}" fill="{colour}">',
        f"<title>{title}</title></rect>",
        f'<text x="{x + _BAR / 2}" y="{floor + 14}" text-anchor="middle">{outcome.seed}</text>',
    ]
    if outcome.deaths:
        parts.append(f'<circle cx="{x + _BAR / 2}" cy="{floor - height - 6:.1f}" r="3" fill="{_DEATH}"/>')
    return parts


def _outcome_as_json(outcome: Outcome) -> dict[str, Any]:
    return {
        "seed": outcome.seed,
        "held": outcome.is_good,
        "faults": [str(fault) for fault in outcome.faults],
        "words": asdict(outcome.words),
        "missing_s": outcome.missing_s,
        "bots_killed": outcome.deaths,
        "settled_s": outcome.settled_s,
        "findings": [asdict(finding) for finding in outcome.findings],
    }

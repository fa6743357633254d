"""What a run found, for people and for programs: lines, a table, a JSON file with a plot beside it."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from vexa_local.chaos.faults import Fault
from vexa_local.chaos.timeline import plot
from vexa_local.chaos.trial import Outcome

_HEADINGS = ("seed", "faults", "words", "lost", "extra", "missing s", "deaths", "settled s", "outcome")


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
    missed = [f"    its moment did not come: {fault}" for fault in outcome.missed]
    return [first, *missed, *(f"    {finding}" for finding in outcome.findings)]


def print_table(console: Console, outcomes: Sequence[Outcome]) -> None:
    """Show every seed in a line."""
    table = Table(title="Chaos", title_justify="left")
    for heading in _HEADINGS:
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
    """Spell a run for programs; the plot is drawn from this and from nothing else."""
    totals = {name: sum(getattr(outcome.words, name) for outcome in outcomes) for name in ("due", "lost", "extra")}
    return {
        **asdict(facts),
        "seeds": len(outcomes),
        "held": sum(outcome.is_good for outcome in outcomes),
        "words": totals,
        "outcomes": [_outcome_as_json(outcome) for outcome in outcomes],
    }


def write_report(file: Path, facts: RunFacts, outcomes: Sequence[Outcome]) -> None:
    """Write the JSON file in one step, so that no crash leaves half of it, and the plot beside it."""
    report = as_json(facts, outcomes)
    file.parent.mkdir(parents=True, exist_ok=True)
    scratch = file.with_name(f"{file.name}.new")
    scratch.write_text(json.dumps(report, indent=2) + "\n")
    scratch.replace(file)
    draw_plot(file, report)


def redraw(file: Path) -> None:
    """Draw the plot of a JSON file anew."""
    draw_plot(file, json.loads(file.read_text()))


def draw_plot(file: Path, report: dict[str, Any]) -> None:
    """Draw a run beside its JSON file."""
    file.with_suffix(".svg").write_text(plot(report))


def _outcome_as_json(outcome: Outcome) -> dict[str, Any]:
    return {
        "seed": outcome.seed,
        "held": outcome.is_good,
        "faults": [
            {**asdict(fault), "missed": fault in outcome.missed, "told": _told(fault)} for fault in outcome.faults
        ],
        "words": asdict(outcome.words),
        "missing_s": outcome.missing_s,
        "bots_killed": outcome.deaths,
        "played_s": outcome.played_s,
        "settled_s": outcome.settled_s,
        "findings": [asdict(finding) for finding in outcome.findings],
    }


def _told(fault: Fault) -> str:
    return str(fault).strip()

"""The plot of a run, and the file that it is drawn from."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

from vexa_local.chaos.checker import Words
from vexa_local.chaos.faults import BOT, Fault, FaultKind
from vexa_local.chaos.report import RunFacts, redraw, write_report
from vexa_local.chaos.timeline import BROKEN, HELD
from vexa_local.chaos.trial import Outcome
from vexa_local.check import Finding

FACTS = RunFacts(engine="scripted", meetings=8, length_s=40.0, broken=None, wall_s=90.0)
KILL = Fault(kind=FaultKind.KILL, target=BOT, at_s=5.0, meeting=2)
PAUSE = Fault(kind=FaultKind.PAUSE, target="valkey", at_s=10.0, duration_s=8.0)


def an_outcome(seed: int, *findings: Finding) -> Outcome:
    return Outcome(
        seed=seed,
        faults=(KILL, PAUSE),
        findings=findings,
        words=Words(due=400),
        missing_s=1.5,
        played_s=45.0,
        settled_s=12.0,
        deaths=1,
    )


def test_a_plot_has_a_row_for_each_seed(tmp_path: Path) -> None:
    """With its number in the colour of the verdict, its faults by name, and the seconds that are missing."""
    file = tmp_path / "run.json"

    write_report(file, FACTS, [an_outcome(7), an_outcome(8, Finding(rule="lost", where="m", what="one word"))])

    drawn = ET.fromstring(file.with_suffix(".svg").read_text())
    texts = {(node.text, node.get("fill")) for node in drawn.iter() if node.text}
    assert {("7", HELD), ("8", BROKEN), ("held", HELD), ("lost", BROKEN)} <= texts
    titles = [text for text, _ in texts if text and text.startswith("5.0 s  kill bot 3")]
    assert titles


def test_the_file_holds_all_that_the_plot_shows(tmp_path: Path) -> None:
    """It is drawn again from the file alone."""
    file = tmp_path / "run.json"
    write_report(file, FACTS, [an_outcome(7)])
    drawn = file.with_suffix(".svg").read_text()
    file.with_suffix(".svg").unlink()

    redraw(file)

    assert file.with_suffix(".svg").read_text() == drawn
    assert json.loads(file.read_text())["outcomes"][0]["faults"][0]["meeting"] == 2

"""Nothing is lost whatever dies; and the harness that says so notices when something is."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vexa_local.chaos.__main__ import main
from vexa_local.chaos.faults import Moment

LENGTH_S = "25"
MEETINGS = "4"


@pytest.mark.slow
def test_nothing_is_lost_under_any_fault_of_a_short_set_of_seeds(
    tmp_path: Path, meetings_dir: Path, free_port_offset: Callable[[], int]
) -> None:
    """Each word is stored once under its speaker, every second is accounted for, and everything comes to rest."""
    file = tmp_path / "held.json"

    status = run(meetings_dir, file, free_port_offset(), "--seeds", "2", "--from-seed", "80", "--minutes", "8")

    report = read(file)
    assert [outcome["findings"] for outcome in report["outcomes"]] == [[]] * report["seeds"]
    assert report["words"]["due"] > 100 * report["seeds"]
    assert status == 0


@pytest.mark.slow
def test_an_acknowledgement_that_comes_too_early_is_noticed(
    tmp_path: Path, meetings_dir: Path, free_port_offset: Callable[[], int]
) -> None:
    """A collector that acknowledges first and stores afterwards is killed in between: lost words are reported."""
    file = tmp_path / "broken.json"

    status = run(
        meetings_dir, file, free_port_offset(), "--seeds", "1", "--from-seed", "1", "--break", "acknowledgement"
    )

    report = read(file)
    (outcome,) = report["outcomes"]
    kills = [fault for fault in outcome["faults"] if fault["moment"] == Moment.UNSTORED and not fault["missed"]]
    assert kills
    assert status == 1
    assert report["words"]["lost"] > 0
    assert "lost" in {finding["rule"] for finding in outcome["findings"]}


def run(meetings: Path, file: Path, offset: int, *options: str) -> int:
    return main(
        [
            *("--meetings", str(meetings), "--json", str(file)),
            *("--meetings-at-once", MEETINGS, "--length-s", LENGTH_S, "--port-offset", str(offset)),
            *options,
        ]
    )


def read(file: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(file.read_text())
    return report

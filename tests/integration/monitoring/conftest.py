"""A real Prometheus: installed in CI, asked for elsewhere."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

MONITORING = Path(__file__).resolve().parents[3] / "knative" / "components" / "monitoring"
SETUP = Path(__file__).with_name("setup")


@pytest.fixture(scope="session")
def prometheus_program() -> str:
    """The program; fails in CI without it."""
    return _program("prometheus")


@pytest.fixture(scope="session")
def promtool() -> str:
    """What checks rules; fails in CI without it."""
    return _program("promtool")


@pytest.fixture(scope="session")
def rules() -> dict[str, Any]:
    """The alert rules, as Prometheus reads them without an operator."""
    spec: dict[str, Any] = yaml.safe_load((MONITORING / "alerts.yaml").read_text())["spec"]
    return spec


@pytest.fixture(scope="session")
def rules_file(rules: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same in a file."""
    file = tmp_path_factory.mktemp("rules") / "rules.yaml"
    file.write_text(yaml.safe_dump(rules))
    return file


@pytest.fixture(scope="session")
def queries(rules: dict[str, Any]) -> list[str]:
    """Every query of alerts and dashboard."""
    return list(_queries(rules))


def _queries(rules: dict[str, Any]) -> Iterator[str]:
    for group in rules["groups"]:
        yield from (rule["expr"] for rule in group["rules"])
    for panel in json.loads((MONITORING / "dashboard.json").read_text())["panels"]:
        yield from (target["expr"] for target in panel.get("targets", []))


def _program(name: str) -> str:
    if shutil.which(name) is None and not os.environ.get("CI"):
        pytest.skip(f"{name} is not installed; as root, {SETUP} installs it")
    subprocess.run([str(SETUP)], check=True, timeout=300)
    found = shutil.which(name)
    assert found is not None
    return found

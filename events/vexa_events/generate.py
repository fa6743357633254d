"""Writes what derives from the registry: JSON Schemas, EventType resources and the README's event table."""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from vexa_events.registry import CONTRACTS, Contract

ROOT = Path(__file__).resolve().parents[2]
SCHEMAS = ROOT / "events" / "vexa_events" / "schemas"
EVENT_TYPES = ROOT / "knative" / "base" / "eventing" / "eventtypes.yaml"
README = ROOT / "events" / "README.md"
NAMESPACE = "vexa"
BROKER = "default"
COMMAND = "python -m vexa_events.generate"
TABLE_BEGIN = f"<!-- event table: written by {COMMAND} -->"
TABLE_END = "<!-- end of the event table -->"


def expected_files() -> dict[Path, str]:
    """Render every generated file; the README with the text around its table as it stands."""
    return {
        **{SCHEMAS / f"{contract.event_type}.json": schema_json(contract) for contract in CONTRACTS.values()},
        EVENT_TYPES: event_types_yaml(CONTRACTS),
        README: with_table(README.read_text(encoding="utf-8"), event_table(CONTRACTS)),
    }


def stale_files(expected: Mapping[Path, str]) -> list[Path]:
    """List the files that are missing, differ, or are schemas of no contract."""
    differing = [path for path, text in expected.items() if not path.is_file() or path.read_text("utf-8") != text]
    folders = {path.parent for path in expected if path.suffix == ".json"}
    present = sorted(path for folder in folders for path in folder.glob("*.json"))
    return differing + [path for path in present if path not in expected]


def write_files(expected: Mapping[Path, str]) -> list[Path]:
    """Make the working tree hold exactly what is expected; return what changed."""
    changed = stale_files(expected)
    for path in changed:
        if path in expected:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(expected[path], encoding="utf-8")
        else:
            path.unlink()
    return changed


def schema_json(contract: Contract) -> str:
    """Render the JSON Schema of a contract's data; fields it does not name are allowed."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:vexa:event:{contract.event_type}",
        **contract.model.model_json_schema(),
    }
    return json.dumps(schema, indent=2) + "\n"


def event_types_yaml(contracts: Mapping[str, Contract]) -> str:
    """Render one EventType resource per contract, for the Broker that carries it."""
    head = f"# Written by {COMMAND} from the registry of event contracts.\n"
    return head + "".join(_event_type(contract) for contract in contracts.values())


def event_table(contracts: Mapping[str, Contract]) -> str:
    """Render the contracts as a Markdown table."""
    rows = [
        f"| `{contract.event_type}` | {contract.meaning} | `{contract.source}` | `{contract.model.__name__}` |"
        for contract in contracts.values()
    ]
    return "\n".join(["| type | says that | source | data |", "| --- | --- | --- | --- |", *rows])


def with_table(document: str, table: str) -> str:
    """Put the table between the markers of a document; ValueError where a marker is missing."""
    before, begin, rest = document.partition(TABLE_BEGIN)
    _, end, after = rest.partition(TABLE_END)
    if not begin or not end:
        raise ValueError(f"{README.name} lacks the markers around the event table")
    return f"{before}{TABLE_BEGIN}\n{table}\n{TABLE_END}{after}"


def _event_type(contract: Contract) -> str:
    return f"""---
apiVersion: eventing.knative.dev/v1beta2
kind: EventType
metadata:
  name: {contract.event_type.replace("_", "-")}
  namespace: {NAMESPACE}
spec:
  type: {contract.event_type}
  source: {contract.source}
  description: {json.dumps(contract.meaning)}
  reference:
    apiVersion: eventing.knative.dev/v1
    kind: Broker
    name: {BROKER}
    namespace: {NAMESPACE}
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the files, or with --check only name those that would change; return the exit status."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail if a file is out of date")
    check = parser.parse_args(arguments).check
    changed = stale_files(expected_files()) if check else write_files(expected_files())
    for path in changed:
        sys.stdout.write(f"{'out of date' if check else 'written'}: {path.relative_to(ROOT)}\n")
    return 1 if check and changed else 0


if __name__ == "__main__":
    sys.exit(main())

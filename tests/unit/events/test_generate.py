"""What is written from the registry."""

import json
from pathlib import Path

import pytest

from vexa_events.generate import TABLE_BEGIN, TABLE_END, event_table, schema_json, stale_files, with_table, write_files
from vexa_events.registry import CONTRACTS, TRANSCRIPT_COMMITTED


def test_a_schema_names_its_contract_and_allows_unknown_fields() -> None:
    """A consumer elsewhere can validate what a newer producer sends."""
    schema = json.loads(schema_json(CONTRACTS[TRANSCRIPT_COMMITTED]))

    assert schema["$id"] == "urn:vexa:event:vexa.transcript.committed.v1"
    assert {"stream_uid", "epoch", "batch_seq", "spans"} <= set(schema["required"])
    assert schema.get("additionalProperties", True) is True


def test_the_table_has_a_row_for_each_contract() -> None:
    """Nothing that is published goes undocumented."""
    rows = event_table(CONTRACTS).splitlines()[2:]

    assert [row.split("`")[1] for row in rows] == list(CONTRACTS)


def test_only_the_text_between_the_markers_changes() -> None:
    """The rest of the README belongs to its author."""
    document = f"before\n{TABLE_BEGIN}\nold\n{TABLE_END}\nafter\n"

    assert with_table(document, "new") == f"before\n{TABLE_BEGIN}\nnew\n{TABLE_END}\nafter\n"


@pytest.mark.parametrize("document", ["", TABLE_BEGIN, TABLE_END, f"{TABLE_END}{TABLE_BEGIN}"])
def test_a_document_without_markers_is_refused(document: str) -> None:
    """A table is never appended in a wrong place."""
    with pytest.raises(ValueError, match="markers"):
        with_table(document, "new")


def test_writing_makes_the_folder_hold_what_is_expected(tmp_path: Path) -> None:
    """What differs is written, what is missing made, and the schema of a dropped contract removed."""
    for name in ("same.json", "other.json", "dropped.json", "notes.md"):
        (tmp_path / name).write_text("a", encoding="utf-8")
    expected = {tmp_path / "same.json": "a", tmp_path / "other.json": "b", tmp_path / "new" / "none.yaml": "c"}

    changed = write_files(expected)

    assert [path.name for path in changed] == ["other.json", "none.yaml", "dropped.json"]
    assert stale_files(expected) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "notes.md", "other.json", "same.json"]

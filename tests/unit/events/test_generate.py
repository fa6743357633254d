"""What is written from the registry."""

import json
from pathlib import Path

import pytest

from vexa_events.generate import TABLE_BEGIN, TABLE_END, event_table, schema_json, stale_files, with_table
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


def test_missing_and_differing_files_are_stale(tmp_path: Path) -> None:
    """The check finds both."""
    (tmp_path / "same").write_text("a", encoding="utf-8")
    (tmp_path / "other").write_text("a", encoding="utf-8")
    expected = {tmp_path / "same": "a", tmp_path / "other": "b", tmp_path / "none": "c"}

    assert [path.name for path in stale_files(expected) if path.parent == tmp_path] == ["other", "none"]

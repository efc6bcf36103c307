import json
from pathlib import Path

import pytest
from worlds import World

from harness.cli.app import call
from harness.records.record import SCHEMA_VERSION, Record, record_schema, schema_text

PUBLISHED = Path(__file__).parents[3] / "results" / "record.schema.json"


def test_the_published_schema_is_that_of_the_code() -> None:
    """`bench list --schema > results/record.schema.json` generates it."""
    assert PUBLISHED.read_text(encoding="utf-8") == schema_text()


def test_the_schema_names_every_field_and_closes_every_part() -> None:
    """A record with a field that no version has is invalid."""
    generated = record_schema()
    assert set(generated["properties"]) == set(Record.model_fields)
    assert generated["additionalProperties"] is False
    assert generated["properties"]["schema_version"]["enum"] == list(range(1, SCHEMA_VERSION + 1))
    parts = {name for name, part in generated["$defs"].items() if part.get("additionalProperties") is False}
    assert {"Round", "CellFacts", "Quality", "Host"} <= parts


def test_the_command_prints_the_schema(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And nothing else."""
    assert call(["list", "--schema"], World(tmp_path).context()) == 0
    assert json.loads(capsys.readouterr().out) == record_schema()

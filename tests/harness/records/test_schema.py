import json
from pathlib import Path

import pytest
from worlds import World

from harness.cli.app import call
from harness.records.record import SCHEMA_VERSION, Record
from harness.records.schema import schema, schema_text

PUBLISHED = Path(__file__).parents[3] / "results" / "record.schema.json"


def test_the_published_schema_is_that_of_the_code() -> None:
    """Made again by `bench list --schema > results/record.schema.json`."""
    assert PUBLISHED.read_text(encoding="utf-8") == schema_text()


def test_the_schema_names_every_field_and_closes_every_part() -> None:
    """A word that no version knows is no record."""
    made = schema()
    assert set(made["properties"]) == set(Record.model_fields)
    assert made["additionalProperties"] is False
    assert made["properties"]["schema_version"]["enum"] == list(range(1, SCHEMA_VERSION + 1))
    parts = {name for name, part in made["$defs"].items() if part.get("additionalProperties") is False}
    assert {"Round", "CellFacts", "Quality", "Host"} <= parts


def test_the_command_prints_the_schema(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And nothing else."""
    assert call(["list", "--schema"], World(tmp_path).toolbox()) == 0
    assert json.loads(capsys.readouterr().out) == schema()

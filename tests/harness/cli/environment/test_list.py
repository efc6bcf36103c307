import json
from pathlib import Path

import pytest
from worlds import World

from harness.catalog import load_catalog
from harness.cli.app import call


def test_each_variant_has_the_engine_of_its_export_or_the_reason_why_there_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the order of the variants, as JSON and as text."""
    world = World(tmp_path)
    world.catalog = load_catalog()
    assert call(["list", "--json"], world.context()) == 0
    listing = json.loads(capsys.readouterr().out)
    exports = {row["name"]: row["summary"] for row in listing["exports of variants"]}
    assert list(exports) == [row["name"] for row in listing["variants"]]
    assert exports["native-int8"] == "compiled encoder"
    assert exports["onnx-int8"] == "ONNX Runtime"
    assert exports["fastest"] == "the chosen engine"
    assert exports["null"] == "none, because it has no model"
    assert call(["list"], world.context()) == 0
    assert "\nexports of variants\n" in capsys.readouterr().out

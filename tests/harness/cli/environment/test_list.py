import json
from pathlib import Path

import pytest
from typer.main import get_command
from worlds import World

from harness.catalog import DEFAULT_VARIANTS, load_catalog
from harness.cli.app import app, call
from harness.cli.context import CliContext
from harness.cli.reference import shown_parameters, walk_commands
from harness.measurement.energy.selection import METERS
from harness.records.plan import PROFILES
from harness.studies.untrained_shapes import STUDIES
from harness.workload.scenarios import SCENARIOS
from harness.workload.tasks import TASKS

KINDS_BY_OPTION = {
    "task": "tasks",
    "variant": "variants",
    "variants": "variants",
    "ladder": "ladders",
    "meter": "meters",
}
"""The kind of `bench list` that holds what an option's help says is there."""


def listed(folder: Path, *words: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert call(["list", *words], CliContext(cache=lambda: folder)) == 0
    return capsys.readouterr().out


def test_every_option_that_refers_to_the_list_finds_its_names_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And each option's own default is marked as the default."""
    rows = json.loads(listed(tmp_path, "--json", capsys=capsys))
    referring = [
        parameter
        for _, command in walk_commands(get_command(app), "bench")
        for parameter in shown_parameters(command)
        if "bench list" in (getattr(parameter, "help", None) or "")
    ]
    assert {str(parameter.name) for parameter in referring} == {
        "task",
        "variant",
        "variants",
        "ladder",
        "meter",
    }
    for parameter in referring:
        kind = KINDS_BY_OPTION[str(parameter.name)]
        names = {row["name"] for row in rows[kind]}
        assert names, kind
        if isinstance(parameter.default, str) and parameter.default:
            assert parameter.default in names


def test_the_list_has_every_name_and_marks_defaults(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of tasks, variants, ladders, scenarios, profiles, meters and shapes."""
    rows = json.loads(listed(tmp_path, "--json", capsys=capsys))
    names = {kind: {row["name"] for row in of_kind} for kind, of_kind in rows.items()}
    defaults = {row["name"] for of_kind in rows.values() for row in of_kind if row.get("default")}
    assert names["tasks"] == {*TASKS, "custom"}
    assert names["scenarios"] == set(SCENARIOS)
    assert names["profiles"] == set(PROFILES)
    assert names["meters"] == {meter.name for meter in METERS}
    assert names["studies of shapes"] == set(STUDIES)
    assert "shape:4L-312" in names["shapes"]
    assert {"fastformers", "search", "paper"} <= names["ladders"]
    assert defaults == {"boolq", *DEFAULT_VARIANTS, "fastformers", "single-stream", "default"}


@pytest.mark.parametrize("columns", ["40", "80", "200"])
def test_the_short_list_fits_the_terminal(
    columns: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has every name; no line is longer than the terminal, or 60 columns where that is narrower."""
    monkeypatch.setenv("COLUMNS", columns)
    out = listed(tmp_path, capsys=capsys)
    rows = json.loads(listed(tmp_path, "--json", capsys=capsys))
    words = {word.rstrip("*") for word in out.split()}
    assert {row["name"] for of_kind in rows.values() for row in of_kind} <= words
    assert max(map(len, out.splitlines())) <= max(int(columns), 60)
    assert "pytorch-fixed*" in out


def test_the_long_list_tells_what_each_is_and_what_it_needs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A ladder's rungs, the launches of a profile, what a variant lacks here."""
    out = listed(tmp_path, "--long", capsys=capsys)
    assert "fastformers *  7 rungs: fixed, dynamic, distilled, int8, multi-instance, pruned-75-75" in out
    assert "3 launches of 10 rounds over 704 timed examples, windows of 20 s or more" in out
    assert "onnx-fp32 *" in out
    assert "ladder paper on shape:12L-768, lengths of boolq, at most 512 tokens" in out


def test_each_variant_has_the_engine_of_its_export_or_the_reason_why_there_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As JSON, and in the long list."""
    world = World(tmp_path)
    world.catalog = load_catalog()
    assert call(["list", "--json"], world.context()) == 0
    exports = {row["name"]: row["export"] for row in json.loads(capsys.readouterr().out)["variants"]}
    assert exports["native-int8"] == "compiled encoder"
    assert exports["onnx-int8"] == "ONNX Runtime"
    assert exports["fastest"] == "the chosen engine"
    assert exports["null"] == "none, because it has no model"
    assert call(["list", "--long"], world.context()) == 0
    assert "export: compiled encoder" in capsys.readouterr().out

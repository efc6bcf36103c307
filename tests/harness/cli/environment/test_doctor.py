import json
from dataclasses import replace
from pathlib import Path

import pytest
from worlds import World

from harness.catalog import load_catalog
from harness.cli.app import call
from harness.cli.output.terminal import hanging


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Return a fake machine with the real catalog."""
    world = World(tmp_path)
    world.catalog = load_catalog()
    return world


def test_a_variant_that_needs_cuda_is_not_ready_on_a_cpu(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """The states are those on the device of --device, cpu here."""
    assert call(["doctor", "--json"], world.context()) == 0
    states = json.loads(capsys.readouterr().out)["variants"]
    assert states["pytorch-fp16"] == "runs on cuda only, not on cpu"
    assert states["pytorch-graphs-bf16"] == "runs on cuda only, not on cpu"
    assert states["pytorch-dynamic"] == "ready"


@pytest.mark.parametrize("columns", ["60", "80", "140"])
def test_the_tables_fit_the_terminal(
    columns: str, world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reasons are wrapped beside the names; what is measured by default is marked."""
    monkeypatch.setenv("COLUMNS", columns)
    assert call(["doctor"], world.context()) == 0
    out = capsys.readouterr().out
    lines = out.splitlines()
    store = str(world.store)
    assert max(len(line) for line in lines if store not in line and str(world.cache) not in line) <= int(
        columns
    )
    assert "Variants on cpu (* is measured if none is named)" in lines
    ready = next(line for line in lines if line.startswith("  pytorch-dynamic *"))
    assert ready.split() == ["pytorch-dynamic", "*", "ready"]


def test_variants_that_are_ready_come_first(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Then those that are not, each with its reason."""
    fakes = World(world.root / "fakes")
    (name, fake) = next(iter(fakes.catalog.variants.items()))
    broken = replace(fake, missing="needs a moon")  # type: ignore[type-var]
    fakes.catalog = replace(fakes.catalog, variants={**fakes.catalog.variants, name: broken})
    assert call(["doctor"], fakes.context()) == 0
    out = capsys.readouterr().out
    rows = [line.split() for line in out.partition("Variants on cpu")[2].splitlines()[1:5]]
    assert [row[-1] for row in rows] == ["ready", "ready", "ready", "moon"]


def test_a_text_is_wrapped_beside_its_name_and_escaped() -> None:
    """By hand: 11 columns of name and indent, and 36 for the text."""
    lines = hanging([("a", "one two " * 8), ("long\x1bname", "x")], 45)
    assert lines == [
        "  a             one two one two one two one",
        "                two one two one two one two",
        "                one two",
        "  long\\x1bname  x",
    ]


def test_a_power_curve_is_shown_in_few_digits(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """JSON has all of them."""
    choice = world.machine.choose_meter("cpu")
    assert choice.meter
    curve = {"0 %": 1.6317692307692309, "100 %": 6.014307692307693}
    monkeypatch.setattr(choice.meter, "describe", lambda: {"watts": curve})
    assert call(["doctor"], world.context()) == 0
    assert "0 % 1.632, 100 % 6.014" in " ".join(capsys.readouterr().out.split())
    assert call(["doctor", "--json"], world.context()) == 0
    assert json.loads(capsys.readouterr().out)["meter_facts"]["watts"] == curve


def test_a_file_in_place_of_the_store_is_not_writable(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nor is a folder that would lie in it: a run could not be saved there."""
    (file := world.root / "file").write_text("")
    for store in (file, file / "store"):
        assert call(["doctor", "--store", str(store), "--json"], world.context()) == 0
        assert json.loads(capsys.readouterr().out)["store"]["writable"] is False

"""`--meter`: whole commands with a meter that was named."""

import json
from pathlib import Path

import pytest
from worlds import World, boolq_folder

from harness.cli.app import call
from harness.measurement.energy.selection import choose_meter
from harness.testing.world import altered


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Return a world whose machine chooses from the real table, with no counter in sight."""
    world = World(tmp_path)
    absent = tmp_path / "absent"
    world.machine = altered(
        world.machine,
        choose_meter=lambda device, wanted=None: choose_meter(device, wanted, root=absent, system=absent),
    )
    return world


def bench(world: World, *words: str) -> int:
    """Run a command."""
    return call(words, world.context())


def record_of(world: World) -> dict[str, object]:
    """Return one record of the only run."""
    path = next((world.store / "runs").glob("*/*.json"))
    found: dict[str, object] = json.loads(path.read_text())
    return found


def test_a_meter_that_cannot_be_used_is_refused_before_anything_is_written(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, with what, why and what would allow it; the store stays empty."""
    data = str(boolq_folder(world.root))
    assert bench(world, "run", "--data", data, "--meter", "perf") == 2
    assert capsys.readouterr().err.startswith(
        "bench: --meter: the meter perf cannot be used: the kernel offers no event energy-pkg.\n"
    )
    assert not list(world.store.glob("runs/*"))


def test_a_run_with_no_meter_says_that_it_was_asked_for(world: World) -> None:
    """Energy is unavailable by the user's own wish, in record and configuration."""
    assert bench(world, "run", "--data", str(boolq_folder(world.root)), "--meter", "none", "--quiet") == 0
    record = record_of(world)
    assert record["energy"]["meter"] is None  # type: ignore[index]
    assert record["configuration"]["meter"] == "none"  # type: ignore[index]


def test_a_run_plays_back_a_recording(world: World) -> None:
    """The record names the file and no folder; its joules are never called measured."""
    file = world.root / "recording.jsonl"
    lines = [{"at_ns": at * 10**9, "zone": "package-0", "microjoules": at * 10**6} for at in range(400)]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    data = str(boolq_folder(world.root))
    assert bench(world, "run", "--data", data, "--meter", f"replay:{file}", "--quiet") == 0
    record = record_of(world)
    assert record["configuration"]["meter"] == "replay:recording.jsonl"  # type: ignore[index]
    readings = [reading for each in record["rounds"] for reading in each["readings"]]  # type: ignore[attr-defined]
    assert {reading["grade"] for reading in readings} == {"modelled"}
    assert {reading["microjoules"] for reading in readings} == {10**6}
    assert str(world.root) not in json.dumps(record)


def test_doctor_shows_the_meter_that_was_named(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """And refuses one that makes no sense."""
    assert bench(world, "doctor", "--meter", "modelled") == 0
    assert "meter: modelled" in capsys.readouterr().out
    assert bench(world, "doctor", "--meter", "prf") == 2
    assert "Did you mean perf" in capsys.readouterr().err

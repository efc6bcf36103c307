from pathlib import Path

import pytest
from worlds import Heard, World, boolq_folder

from harness.catalog import load_catalog
from harness.cli.app import call
from harness.common.errors import UsageError
from harness.runs.planning.variant_words import expand_words, single_variant
from harness.testing.clock import FakeClock
from harness.testing.system import FakeVariant

CATALOG = load_catalog()


def expanded(*names: str, device: str = "cpu") -> tuple[str, ...]:
    return expand_words(names, device, CATALOG, Heard().warn)


def test_default_stands_for_what_is_measured_if_nothing_is_named() -> None:
    """In its place, and a variant that is named too stays where it is named."""
    assert expanded("default") == (
        "pytorch-fixed",
        "pytorch-dynamic",
        "onnx-fp32",
        "onnx-int8",
        "native-int8",
    )
    assert expanded("onnx-fp32", "default", "null") == (
        "onnx-fp32",
        "pytorch-fixed",
        "pytorch-dynamic",
        "onnx-int8",
        "native-int8",
        "null",
    )


def test_all_is_every_variant_that_runs_on_the_device_here() -> None:
    """On a CPU none that needs CUDA, and neither the harness's own checks nor a program."""
    warnings: list[str] = []
    every = expand_words(("all",), "cpu", CATALOG, warnings.append)
    assert set(every) == {name for name in CATALOG.variants if not CATALOG.why_not(name, "cpu")} - {
        "null",
        "null-server",
        "command",
    }
    assert "onnx-int8" in every
    assert not [name for name in every if "fp16" in name or "graphs" in name or "cuda" in name]
    (warning,) = warnings
    assert warning == (
        f"--variants all: {len(every)} of {len(CATALOG.variants) - 3} can run here; `bench doctor` has the "
        "reasons."
    )
    assert expanded("cpu") == every


def test_cpu_is_refused_on_another_device() -> None:
    """It stands for nothing there."""
    with pytest.raises(UsageError, match="the device is cuda:0"):
        expanded("cpu", device="cuda:0")


@pytest.mark.parametrize("word", ["all", "default", "cpu"])
def test_a_command_of_one_variant_refuses_a_word_for_several(word: str, tmp_path: Path) -> None:
    """Export, prediction and null tests."""
    with pytest.raises(UsageError, match="stands for several"):
        single_variant(word)
    context = World(tmp_path).context()
    data = ("--data", str(boolq_folder(tmp_path)))
    assert call(["run", *data, "--null-test", word], context) == 2
    assert call(["predict", *data, "--variant", word, "-o", str(tmp_path / "out")], context) == 2
    assert call(["export", word, *data, "-o", str(tmp_path / "out")], context) == 2


def test_a_run_takes_the_words(tmp_path: Path) -> None:
    """The fake catalog has four variants, and one that cannot run here."""
    clock = FakeClock(step_ns=10)
    world = World(tmp_path, FakeVariant("absent", clock, 1, missing="needs a moon"))
    words = ["run", "-q", "--data", str(boolq_folder(tmp_path)), "--profile", "quick", "-n", "32", "--json"]
    assert call([*words, "--variants", "all"], world.context()) == 0
    from harness.records.store import Store

    records, _ = Store(world.store).records(Store(world.store).runs())
    assert [record.cell.variant for record in records] == [
        "pytorch-fixed",
        "pytorch-dynamic",
        "onnx-fp32",
        "onnx-int8",
    ]


def test_a_variant_of_another_device_is_refused_before_anything_is_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the device, and where the reasons are."""
    del tmp_path
    from harness.runs.planning.options import RunOptions, check
    from harness.testing.world import FakeMachine

    machine = FakeMachine(CATALOG, FakeClock(step_ns=10))
    options = RunOptions("boolq", variants=("pytorch-fp16",))
    with pytest.raises(UsageError, match="runs on cuda only, not on cpu") as refusal:
        check(options, CATALOG, machine, Heard())
    assert "bench doctor" in str(refusal.value)
    assert capsys.readouterr().err == ""

"""Choosing a meter: the first that works, and why each other one does not."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from harness.common.errors import DeviceError, UsageError
from harness.measurement.energy.cpu.models.processor_power import ProcessorPower
from harness.measurement.energy.cpu.rapl import ALLOW, NO_TREE
from harness.measurement.energy.meter import meter_spec
from harness.measurement.energy.selection import METERS, choose_meter, open_meter
from harness.testing import FakeMeter, powercap_tree


def some_power() -> ProcessorPower:
    """Return a figure that needs no look-up."""
    return ProcessorPower(280.0, 64, "280 W / 64 cores (a table)", "AMD EPYC 7763")


class NoDriver:
    """Stand in for pynvml on a machine without a driver."""

    class NVMLError(Exception):
        """What it raises."""

    def nvmlInit(self) -> None:  # noqa: N802 -- NVML's name
        raise self.NVMLError("Shared Library Not Found")


def test_counters_come_before_models(tmp_path: Path) -> None:
    """Where RAPL can be read it is chosen, and the model is skipped as not needed."""
    choice = choose_meter("cpu", root=powercap_tree(tmp_path).root, processor=some_power)
    assert choice.meter is not None
    assert (choice.meter.name, choice.meter.grade) == ("rapl", "measured")
    assert choice.skipped[0] == (
        "perf",
        "rapl comes first",
        "Nothing to do: the first meter that works is used.",
    )
    assert ("nvml", "it covers cuda, not cpu", "Measure on --device cuda.") in choice.skipped
    assert [row[0] for row in choice.skipped] == [row.name for row in METERS if row.name != "rapl"]


def test_a_denied_counter_gives_the_model_and_the_remedy(tmp_path: Path) -> None:
    """The user learns that the joules are modelled, why, and which command changes it."""
    tree = powercap_tree(tmp_path)
    tree.deny("package-0")
    choice = choose_meter(
        "cpu", root=tree.root, read_text=tree.read_text, processor=some_power, system=tmp_path / "absent"
    )
    assert choice.meter is not None
    assert (choice.meter.name, choice.meter.grade) == ("modelled", "modelled")
    assert choice.skipped[0] == ("rapl", "package-0: permission denied on energy_uj", ALLOW)


def test_a_machine_without_counters_gives_the_model(tmp_path: Path) -> None:
    """A virtual machine has no powercap tree; the skipped row has the remedy."""
    absent = tmp_path / "absent"
    choice = choose_meter("cpu", root=absent, processor=some_power, system=absent)
    assert choice.meter is not None
    assert choice.meter.describe()["watts_per_cpu"] == 4.375
    assert choice.skipped[0] == ("rapl", "the kernel shows no RAPL package zone", NO_TREE)


def test_a_gpu_without_a_counter_has_no_meter() -> None:
    """Nothing models a board: the choice is none, with every reason."""
    choice = choose_meter("cuda:1", nvml=NoDriver())
    assert choice.meter is None
    assert [row[0] for row in choice.skipped] == [row.name for row in METERS]
    reasons = {name: why for name, why, _ in choice.skipped}
    assert reasons["nvml"] == reasons["nvml-power"] == "NVML reports: Shared Library Not Found"


@pytest.mark.parametrize("device", ["", "tpu", "cuda:x", "cuda:"])
def test_an_unknown_device_is_refused(device: str) -> None:
    """The message names the devices there are."""
    with pytest.raises(DeviceError, match="Use cpu, cuda or cuda:N"):
        choose_meter(device)


def test_a_chosen_meter_opens_again_from_its_spec(tmp_path: Path) -> None:
    """What the parent chose is what the worker reads with, through JSON."""
    for root in (powercap_tree(tmp_path).root, tmp_path / "absent"):
        meter = choose_meter("cpu", root=root, processor=some_power, system=tmp_path / "absent").meter
        assert meter is not None
        again = open_meter(json.loads(json.dumps(meter_spec(meter))))
        assert (again.name, again.describe()) == (meter.name, meter.describe())


def test_a_fake_opens_from_its_spec_but_is_never_chosen() -> None:
    """Whole commands are tested with it; no table offers it."""
    meter = FakeMeter(7.5, grade="modelled", scope="process share", resolution_uj=3)
    again = open_meter(json.loads(json.dumps(meter_spec(meter))))
    assert again.describe() == {"source": "fake meter", "watts": 7.5}
    assert "fake" not in {row.name for row in METERS}


def test_an_unknown_spec_is_refused() -> None:
    """A meter that the table does not hold is a usage error with the nearest name."""
    with pytest.raises(UsageError, match="rapl"):
        open_meter({"meter": "rapI"})


def test_a_worker_that_opens_a_meter_imports_nothing_heavy() -> None:
    """Not even the look-up of the watts imports codecarbon; pydantic and torch stay out too."""
    program = (
        "import sys, json; from harness.measurement.energy.selection import open_meter, choose_meter;"
        "open_meter({'meter': 'modelled', 'watts_per_cpu': 4.0, 'source': '4 W'}); choose_meter('cpu');"
        "heavy = {'codecarbon', 'torch', 'pandas', 'pydantic'};"
        "print(json.dumps(sorted(heavy & set(sys.modules))))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []

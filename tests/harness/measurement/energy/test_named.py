"""A meter that the user names: the only one that is tried, and an error if it cannot be used."""

import json
from pathlib import Path

import pytest
from worlds import World, boolq_folder

from harness.common.errors import UsageError
from harness.common.progress import NoProgress
from harness.measurement.energy.cpu.models.processor_power import ProcessorPower
from harness.measurement.energy.meter import NAMED_ONLY, MeterChoice, unusable_meters
from harness.measurement.energy.selection import METERS, choose_meter, displayed_name, require_meter
from harness.runs.planning.options import RunOptions, check
from harness.runs.services import LocalMachine, chosen_meter
from harness.testing import powercap_tree
from harness.testing.world import altered


def some_power() -> ProcessorPower:
    """Return a figure that needs no look-up."""
    return ProcessorPower(280.0, 64, "280 W / 64 cores (a table)", "AMD EPYC 7763")


def test_a_named_meter_is_used_though_a_better_one_works(tmp_path: Path) -> None:
    """RAPL can be read, but the user wants to see the model; the record states that it was named."""
    choice = choose_meter("cpu", "modelled", root=powercap_tree(tmp_path).root, processor=some_power)
    assert choice.meter is not None
    assert choice.meter.name == "modelled"
    assert choice.skipped[0] == (
        "rapl",
        "--meter modelled was asked for",
        "Leave out --meter, or use --meter rapl.",
    )


def test_none_is_no_meter_and_is_not_refused(tmp_path: Path) -> None:
    """With `none` there is no energy, for that reason."""
    choice = require_meter(choose_meter("cpu", "none", root=powercap_tree(tmp_path).root), "none")
    assert choice.meter is None
    assert {reason for _, reason, _ in choice.skipped} == {"--meter none was asked for"}


def test_a_named_meter_that_cannot_be_used_is_refused_with_why_and_what_to_do(tmp_path: Path) -> None:
    """It is not replaced by another one: exit code 2."""
    tree = powercap_tree(tmp_path, sockets=1)
    tree.deny("package-0")
    choice = choose_meter("cpu", "rapl", root=tree.root, read_text=tree.read_text)
    assert choice.meter is None
    with pytest.raises(
        UsageError, match="the meter rapl cannot be used: package-0: permission denied"
    ) as error:
        require_meter(choice, "rapl")
    assert error.value.exit_code == 2
    assert "chmod" in str(error.value.remedy)


def test_a_meter_of_another_device_is_refused() -> None:
    """A board's energy is not the processor's."""
    with pytest.raises(UsageError, match="it covers cuda, not cpu"):
        require_meter(choose_meter("cpu", "nvml"), "nvml")


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("prf", "unknown meter 'prf'"),
        ("external", "the meter external needs an argument"),
        ("rapl:now", "the meter rapl takes no argument"),
        ("none:at-all", "the meter none takes no argument"),
    ],
)
def test_a_name_that_makes_no_sense_is_refused(wanted: str, message: str) -> None:
    """With the nearest name, or what belongs behind the colon."""
    with pytest.raises(UsageError, match=message):
        choose_meter("cpu", wanted)


def test_meters_that_nobody_named_are_listed_but_are_no_obstacles(tmp_path: Path) -> None:
    """`bench doctor` shows how to name them; a warning speaks of those that were tried and failed."""
    absent = tmp_path / "absent"
    choice = choose_meter("cpu", root=absent, system=absent, processor=some_power)
    by_name = {name: (reason, remedy) for name, reason, remedy in choice.skipped}
    assert by_name["codecarbon"] == (NAMED_ONLY, "Name it: --meter codecarbon.")
    assert by_name["external"] == (NAMED_ONLY, "Name it: --meter external:FILE|COMMAND.")
    assert [row[0] for row in unusable_meters(choice.skipped)] == ["rapl", "perf", "hwmon"]


def test_a_model_may_be_given_the_machine_whose_power_it_takes(tmp_path: Path) -> None:
    """Without one it takes this machine's; an unknown one is refused before anything is measured."""
    online = tmp_path / "sys/devices/system/cpu/online"
    online.parent.mkdir(parents=True)
    online.write_text("0-1\n")
    choice = choose_meter("cpu", "modelled:m5.large", system=tmp_path)
    assert choice.meter is not None
    assert choice.meter.describe()["machine"] == "m5.large"
    plain = choose_meter("cpu", "modelled", system=tmp_path, processor=some_power)
    assert plain.meter is not None
    assert plain.meter.describe()["watts_per_cpu"] == some_power().watts_per_cpu
    with pytest.raises(UsageError, match=r"unknown processor or instance 'm5\.huge'"):
        choose_meter("cpu", "modelled:m5.huge", system=tmp_path)


def test_any_device_may_be_measured_from_outside(tmp_path: Path) -> None:
    """A recording or a wall socket covers whatever works."""
    file = tmp_path / "recording.jsonl"
    file.write_text(
        "".join(json.dumps({"at_ns": at, "zone": "z", "microjoules": at}) + "\n" for at in range(2))
    )
    for device in ("cpu", "cuda:0"):
        choice = require_meter(choose_meter(device, f"replay:{file}"), f"replay:{file}")
        assert choice.meter is not None
        assert choice.meter.name == "replay"


def test_the_record_keeps_no_folder_and_no_word_of_a_command(tmp_path: Path) -> None:
    """A command may hold a password, a path may hold a name."""
    file = tmp_path / "readings.csv"
    file.write_text("")
    assert displayed_name(f"external:{file}") == "external:readings.csv"
    assert displayed_name("external:bmc=/usr/bin/ipmitool -P secret") == "external:bmc"
    assert displayed_name("modelled:X@/home/me/curves.yaml") == "modelled:X@curves.yaml"
    assert displayed_name("modelled:Sapphire Rapids") == "modelled:Sapphire Rapids"
    assert displayed_name("perf") == "perf"
    assert displayed_name("") is None


def test_every_row_of_the_table_has_a_name_of_its_own_and_a_summary() -> None:
    """`bench list` shows them."""
    assert len({row.name for row in METERS}) == len(METERS)
    assert all(row.summary for row in METERS)


def test_a_run_refuses_a_meter_before_anything_is_prepared(tmp_path: Path) -> None:
    """The check comes before data and model are touched."""
    world = World(tmp_path)

    def refusing(_device: str, _wanted: str | None = None) -> MeterChoice:
        return MeterChoice(None, (("perf", "it is closed", "Open it."),))

    machine = altered(LocalMachine(), choose_meter=refusing, cpus=lambda: (0,), check_device=lambda _: None)
    options = RunOptions(task="boolq", data=boolq_folder(tmp_path), meter="perf", variants=("fake",))
    with pytest.raises(UsageError, match="the meter perf cannot be used: it is closed"):
        check(options, world.catalog, machine, NoProgress())


def test_a_machine_that_knows_no_names_is_asked_as_before() -> None:
    """Without a name the choice gets the device alone."""
    calls: list[tuple[object, ...]] = []
    machine = altered(
        LocalMachine(), choose_meter=lambda *arguments: calls.append(arguments) or MeterChoice(None)
    )  # type: ignore[func-returns-value]
    chosen_meter(machine, "cpu", "")
    chosen_meter(machine, "cpu", "perf")
    assert calls == [("cpu",), ("cpu", "perf")]

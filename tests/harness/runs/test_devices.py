"""Several devices in one run: a group each, with meters, windows and boards of their own."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from worlds import Heard, World, boolq_folder

from harness.catalog import default_variants
from harness.cli.app import call
from harness.common.errors import DeviceError, UsageError
from harness.measurement.energy.check import MeterCheck
from harness.measurement.energy.fake import FakeMeter
from harness.measurement.energy.meter import MeterChoice
from harness.measurement.machine.devices import check_device
from harness.records.record import GpuSnapshot, MachineSnapshot, Record
from harness.records.store import Store
from harness.runs.execution.run import Run, execute, resume, start
from harness.runs.planning.options import RunOptions
from harness.runs.services import LocalMachine
from harness.testing.clock import FakeClock
from harness.testing.system import FakeVariant
from harness.testing.world import altered

WATTS = {"cpu": 10.0, "cuda:0": 300.0, "cuda:1": 200.0}
BOARDS = {"cuda:0": 3, "cuda:1": 1}
VARIANTS = ("pytorch-fixed", "onnx-int8")


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Two boards, the driver's 3 and 1, beside the CPU; a stranger computes on board 2."""
    boolq_folder(tmp_path)
    found = World(tmp_path)
    meters = {
        device: FakeMeter(watts, found.clock, scope="package" if device == "cpu" else "board", zone=device)
        for device, watts in WATTS.items()
    }
    found.machine = altered(
        found.machine,
        check_device=lambda device: check_device(device, lambda: 4, lambda: "3,1"),
        choose_meter=lambda device, _wanted=None: MeterChoice(meters[device], ()),
        try_meter=lambda meter: MeterCheck(
            meter.name, None, least_window_ms=1 if meter is meters["cpu"] else 20
        ),
        board=BOARDS.get,
        snapshot=lambda _cpus: MachineSnapshot(
            gpus=tuple(GpuSnapshot(name="A board", index=at, foreign=int(at == 2)) for at in range(4))
        ),
    )
    return found


def begin(world: World, device: str, **others: object) -> Run:
    plain = {"data": world.root / "data", "variants": VARIANTS, "rounds": 3, "sample": 20, "profile": "quick"}
    wanted = RunOptions(task="boolq", device=device, **{**plain, **others})  # type: ignore[arg-type]
    return start(wanted, world.catalog, Store(world.store), world.cache, world.machine, Heard())


class Interrupting(Heard):
    """Interrupts the second group's second round."""

    def detail(self, text: str) -> None:
        if text.startswith("round 2") and [name for name, _ in self.stages].count("measure") > 1:
            raise KeyboardInterrupt


def by_device(records: list[Record]) -> dict[str, list[Record]]:
    return {device: [one for one in records if one.cell.device == device] for device in WATTS}


def test_each_device_is_a_group_of_its_own_in_one_run(world: World) -> None:
    """Three devices by two variants, one run; each is read by its own meter: watts times the same work."""
    records = execute(begin(world, "cpu,cuda,cuda:1"))
    assert {record.run for record in records} == {records[0].run}
    assert all(record.status == "complete" for record in records)
    found = by_device(records)
    assert [len({one.cell.group for one in part}) for part in found.values()] == [1, 1, 1]
    assert len({record.cell.group for record in records}) == 3
    for device, part in found.items():
        for record in part:
            read = {one.zone: one.microjoules for one in record.rounds[0].readings}
            wall_us = record.rounds[0].wall_ns / 1e3
            # the processor beside the board, and no board that is not the group's
            known = {zone: WATTS[zone] * wall_us for zone in dict.fromkeys((device, "cpu"))}
            assert read == pytest.approx(known, rel=0.01)
            assert record.placement is not None
            assert record.placement.board == BOARDS.get(device)
            assert (record.configuration["device"], record.configuration["devices"]) == (device, list(WATTS))


def test_windows_are_as_long_as_each_device_s_meter_needs(world: World) -> None:
    """A board's counter that asks for 20 ms does not lengthen the windows of the CPU, whose asks for 1."""
    found = by_device(execute(begin(world, "cpu,cuda:0", variants=("onnx-int8",), sample=4)))
    (cpu,), (board,) = found["cpu"], found["cuda:0"]
    assert min(each.wall_ns for each in board.rounds) >= 20_000_000
    assert max(each.wall_ns for each in cpu.rounds) < 20_000_000


def test_each_kind_of_device_has_its_own_default_variants(tmp_path: Path) -> None:
    """Where nobody says what: engines of the CPU there, and 16 bits, packing and graphs on the board."""
    boolq_folder(tmp_path)
    clock = FakeClock(step_ns=10)
    names = {*default_variants("cpu"), *default_variants("cuda")} - {"pytorch-fixed", "pytorch-dynamic"}
    world = World(tmp_path, *(FakeVariant(name, clock, 200) for name in sorted(names)))
    world.machine = altered(world.machine, check_device=lambda _device: None)
    parts = begin(world, "cpu,cuda:0,cuda:1", variants=None).parts()
    assert [part.plan.variants for part in parts] == [
        default_variants(device) for device in ("cpu", "cuda", "cuda")
    ]
    assert [set(part.prepared.artifacts) for part in parts] == [set(part.plan.variants) for part in parts]


def test_a_stranger_on_another_board_gives_no_warning(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Board 2 is in the record, and in nobody's joules; on board 1 it would be."""
    assert not _foreign(world, capsys)
    busy = MachineSnapshot(gpus=(GpuSnapshot(name="A board", index=1, foreign=1),))
    world.machine = altered(world.machine, snapshot=lambda _cpus: busy, suffix=lambda: "0002")
    assert _foreign(world, capsys)


def _foreign(world: World, capsys: pytest.CaptureFixture[str]) -> bool:
    words = ["run", "-q", "--device", "cuda:1", "--data", str(world.root / "data"), "--profile", "quick"]
    assert call([*words, "-n", "20", "--variants", ",".join(VARIANTS)], world.context()) == 0
    return "of other users computed on its GPU" in capsys.readouterr().out


def test_the_report_has_a_table_for_each_device(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """By the option, and by a list under `sweep:`, in one run either way."""
    (world.root / "sweep.yaml").write_text("sweep:\n  device: [cpu, cuda:0]\n")
    words = ["run", "-q", "--data", str(world.root / "data"), "--profile", "quick", "-n", "20"]
    words += ["--variants", ",".join(VARIANTS), "--config", str(world.root / "sweep.yaml")]
    assert call(words, world.context()) == 0
    out = capsys.readouterr().out
    assert "boolq on cpu" in out
    assert "boolq on cuda:0" in out
    assert len(Store(world.store).runs()) == 1
    assert call(["verify", str(world.store)], world.context()) == 0


def test_the_processor_stands_beside_the_board_and_in_a_sum_with_a_name(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """300 W and 10 W over the same time: 310 W together; a ratio is of the one or of the other."""
    words = ["run", "-q", "--data", str(world.root / "data"), "--profile", "quick", "-n", "20", "--json"]
    assert call([*words, "--device", "cuda:0", "--variants", ",".join(VARIANTS)], world.context()) == 0
    first, second = json.loads(capsys.readouterr().out)["rows"]
    board, together = second["joules_per_request"], second["whole_joules_per_request"]
    assert (board["scope"], together["scope"]) == ("board", "board+package")
    assert together["value"] / board["value"] == pytest.approx(310 / 300, rel=0.001)
    assert second["whole_energy_reduction"]["over"]["pytorch-fixed"]["value"] == pytest.approx(
        first["whole_joules_per_request"]["value"] / together["value"], rel=0.01
    )
    assert call(["report", "latest"], world.context()) == 0
    out = capsys.readouterr().out
    assert "measured, scope board, source fake meter; measured, scope board+package, source fake meter" in out
    assert "board+package" in out.split("Meter")[0]


def test_a_dry_run_shows_the_groups_of_every_device(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Each with its cells; nothing is measured, and no board is looked for."""
    words = [
        "run",
        "--dry-run",
        "--json",
        "-q",
        "--device",
        "cuda:0,cuda:1",
        "--variants",
        ",".join(VARIANTS),
    ]
    assert call([*words, "--data", str(world.root / "data"), "--profile", "quick"], world.context()) == 0
    (found,) = json.loads(capsys.readouterr().out)
    shown = [[(cell["device"], cell["variant"]) for cell in group["cells"]] for group in found["groups"]]
    assert shown == [[(device, name) for name in VARIANTS] for device in ("cuda:0", "cuda:1")]


def test_a_run_of_several_devices_goes_on_where_it_was(world: World) -> None:
    """Interrupted in the second device's second round: no round that is kept is measured again."""
    run = replace(begin(world, "cpu,cuda:0"), narrator=Interrupting())
    with pytest.raises(KeyboardInterrupt):
        execute(run)
    before = [each for each in run.folder.entries() if each["kind"] == "round"]
    again = resume(Store(world.store).run(run.folder.name), world.cache, world.machine, Heard())
    records = execute(again)
    assert len(before) == 4
    assert [len(record.rounds) for record in records] == [3, 3, 3, 3]
    assert {record.launches for record in by_device(records)["cpu"]} == {1}


def test_one_device_that_is_not_there_ends_the_command_before_anything_is_made(world: World) -> None:
    """With what is there; a device that is named twice as well."""
    with pytest.raises(DeviceError, match=r"cuda:2 is not available: CUDA_VISIBLE_DEVICES=3,1 shows 2 of 4"):
        begin(world, "cpu,cuda:2")
    with pytest.raises(UsageError, match="named twice"):
        begin(world, "cuda:0,cuda")
    assert not world.store.exists()


def test_a_ladder_is_measured_on_every_device(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """A table a device; the untimed pass that completes quality is made on each."""
    words = ["ladder", "-q", "--ladder", "fake", "--device", "cpu,cuda:1", "--data", str(world.root / "data")]
    assert (
        call([*words, "--profile", "quick", "--quality", "full", "-n", "20", "--json"], world.context()) == 0
    )
    rows = json.loads(capsys.readouterr().out)
    records, _ = Store(world.store).records(Store(world.store).runs())
    assert {record.cell.device for record in records} == {"cpu", "cuda:1"}
    full = [record for record in records if record.quality and record.quality.untimed]
    assert {record.cell.device for record in full} == {"cpu", "cuda:1"}
    assert rows


def test_commands_of_one_device_refuse_a_list(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Predictions are of one system."""
    words = [
        "predict",
        "--device",
        "cpu,cuda:0",
        "--variant",
        "onnx-int8",
        "--data",
        str(world.root / "data"),
    ]
    assert call([*words, "--split", "val", "-o", str(world.root / "out")], world.context()) == 2
    assert "takes one device, got 2" in capsys.readouterr().err


def test_what_a_machine_asks_is_the_environment_s_board() -> None:
    """No driver, or a CPU: the number of the board is not known, and nothing is guessed."""
    assert LocalMachine().board("cpu") is None

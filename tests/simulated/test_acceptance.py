"""The acceptance of a machine whose counters are known: what is found, archived, verified and replayed."""

import io
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from nvml import FakeNvml
from simulation.counter import Draw, Sensor
from simulation.machine import BOARD_SENSOR, SimulatedMachine

from harness.catalog import load_catalog
from harness.cli.app import call
from harness.cli.context import CliContext
from harness.common.errors import DataError
from harness.common.progress import NoProgress
from harness.measurement.energy.check import check_meter
from harness.measurement.energy.selection import choose_meter
from harness.measurement.energy.trial import power_of
from harness.runs.services import LocalMachine
from harness.studies.acceptance import Acceptance, accept, read_archive, study, write_archive
from harness.studies.acceptance.load import Load, busy_cpus
from harness.studies.acceptance.machine_files import machine_files
from harness.studies.acceptance.recording import replayed_check
from harness.studies.acceptance.study import find_counters, unnamed
from harness.testing import FakeClock
from harness.testing.archived_machine import ArchivedMachine
from harness.testing.world import altered

ARCHIVES = sorted((Path(__file__).parent / "archives").glob("*.zip"))
"""Archives of `bench doctor --accept`, named by their machine."""

DRAWS = {"package-0": Draw(10.0, 8.0), "package-0/dram": Draw(1.0, 2.0)}


class Bench:
    """Two CPUs on a fake clock, with a powercap tree at the place of the kernel's."""

    def __init__(
        self,
        folder: Path,
        sensor: Sensor | None = None,
        mirrors: dict[str, str] | None = None,
        boards: dict[int, Draw] | None = None,
    ) -> None:
        self.clock, self.busy, self.cpu_ns = FakeClock(), 0, 0
        self.root, self.read_ns = folder, 1_000_000 if mirrors else 100_000
        self.simulated = SimulatedMachine(
            folder / "tree",
            draws=DRAWS,
            mirrors=mirrors,
            boards=boards,
            board_sensor=replace(BOARD_SENSOR, start_uj=1e9),
            sensor=sensor or Sensor(),
            clock=self.clock,
            cpu_ns=lambda: self.cpu_ns,
        )
        (folder / "sys/class").mkdir(parents=True)
        (folder / "sys/class/powercap").symlink_to(folder / "tree/class")
        chosen = partial(
            choose_meter,
            root=folder / "sys/class/powercap",
            clock=self.clock,
            system=folder,
            nvml=self.simulated.nvml if boards else FakeNvml(broken="nvmlInit"),
        )
        self.machine = altered(LocalMachine(), choose_meter=chosen, sleep=self.sleep, cpus=lambda: (0, 1))

    def advance(self, nanoseconds: int) -> None:
        """Let time pass; each busy CPU uses all of it."""
        self.clock.advance(nanoseconds)
        self.cpu_ns += self.busy * nanoseconds
        self.simulated.tick()

    def sleep(self, seconds: float) -> None:
        """Let time pass in steps of the counters."""
        for _ in range(round(seconds * 1000)):
            self.advance(1_000_000)

    @contextmanager
    def busy_cpus(self, count: int) -> Iterator[Load]:
        """Keep CPUs busy."""
        self.busy = count
        yield Load(cpu_s=7.5 * count)
        self.busy = 0

    def accept(self) -> Acceptance:
        """Accept this machine; a tick is longer than a mirror's delay, where there is one."""
        return accept(
            self.machine,
            "cpu",
            NoProgress(),
            version="1",
            root=self.root,
            busy=self.busy_cpus,
            multiply=lambda _board: self.busy_cpus(1),
            work=partial(self.advance, self.read_ns),
        )


def test_the_power_of_each_phase_is_the_known_one(tmp_path: Path) -> None:
    """By hand: 8 W idle and 10 W for each busy CPU; memory 2 W and 1 W."""
    findings = Bench(tmp_path).accept().findings
    (rapl,) = findings["counters"]
    expected = {"idle": (8, 2), "one-cpu": (18, 3), "all-cpus": (28, 4)}
    for phase, (package, dram) in expected.items():
        assert rapl["watts"][phase]["package-0"] == pytest.approx(package, rel=0.001)
        assert rapl["watts"][phase]["package-0/dram"] == pytest.approx(dram, rel=0.001)
    assert findings["problems"] == []
    assert [zone["update_ns"] for zone in rapl["check"]["zones"]] == pytest.approx([1_000_000] * 2, rel=0.01)


def test_a_second_name_of_one_counter_is_found(tmp_path: Path) -> None:
    """package-1 shows the counter of package-0."""
    findings = Bench(tmp_path, mirrors={"package-1": "package-0"}).accept().findings
    assert [zone for zone, _ in findings["counters"][0]["check"]["left_out"]] == ["package-1"]
    assert any("package-1 mirrors package-0" in problem for problem in findings["problems"])


def test_a_dead_counter_is_found(tmp_path: Path) -> None:
    """The package moves and its memory does not."""
    bench = Bench(tmp_path)
    bench.simulated.break_down("package-0/dram", "stuck")
    problems = bench.accept().findings["problems"]
    assert any("package-0/dram: the counter did not move in 1.5 s" in problem for problem in problems)


def test_a_counter_that_ignores_the_load_is_found(tmp_path: Path) -> None:
    """It counts 8 W whatever the CPUs do."""
    bench = Bench(tmp_path)
    bench.busy_cpus = lambda _count: bench_idle()  # type: ignore[method-assign]
    assert bench.accept().findings["problems"] == [
        "rapl: package-0 shows 8.0 W idle and 8.0 W in phase all-cpus"
    ]


@contextmanager
def bench_idle() -> Iterator[Load]:
    """Do nothing for a load."""
    yield Load()


def test_a_wrap_is_seen_and_its_energy_counted(tmp_path: Path) -> None:
    """The range is 100 J: at 8 to 28 W, 3 x 7.5 s pass it several times."""
    rapl = Bench(tmp_path, Sensor(range_uj=100_000_000)).accept().findings["counters"][0]
    assert rapl["wraps_seen"]["package-0"] >= 3
    assert rapl["watts"]["all-cpus"]["package-0"] == pytest.approx(28, rel=0.001)


@pytest.mark.parametrize(("factor", "problems"), [(1.0, 0), (1.3, 1)])
def test_a_board_is_compared_with_its_power_sensor(
    factor: float, problems: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """40 W idle, 150 W more while it multiplies; a sensor that shows 1.3 times the power is a problem."""
    bench = Bench(tmp_path, boards={0: Draw(150.0, 40.0)})
    bench.simulated.nvml.power_factor = factor
    monkeypatch.setattr(study, "power_of", partial(power_of, nvml=bench.simulated.nvml))
    acceptance = bench.accept()
    nvml = acceptance.findings["counters"][1]
    assert nvml["watts"]["idle"]["gpu-0"] == pytest.approx(40, rel=0.03)
    assert nvml["watts"]["matrix-product"]["gpu-0"] == pytest.approx(190, rel=0.03)
    assert nvml["check"]["agreement"] == pytest.approx(1 / factor, rel=0.05)
    assert len(acceptance.findings["problems"]) == problems
    assert "GPU-" not in acceptance.model_dump_json()


@pytest.mark.parametrize("mirrors", [None, {"package-1": "package-0"}])
def test_an_archived_machine_gives_the_same_check(mirrors: dict[str, str] | None, tmp_path: Path) -> None:
    """A meter of files that repeat the archive's rows finds what the archive states, but for the reads."""
    bench = Bench(tmp_path / "machine", mirrors=mirrors)
    write_archive(tmp_path / "archive.zip", bench.accept(), None)
    acceptance, _ = read_archive(tmp_path / "archive.zip")
    archived = ArchivedMachine(acceptance, tmp_path / "archived")
    check = check_meter(archived.rapl(), archived.clock, archived.step).facts()
    stated = acceptance.findings["counters"][0]["check"]
    assert json.loads(json.dumps({**check, "reads": 0})) == {**stated, "reads": 0}


def test_of_a_machine_without_a_counter_the_reasons_are_kept(tmp_path: Path) -> None:
    """Every meter and why it cannot be read; no load runs for nothing."""
    bench = Bench(tmp_path)
    bench.simulated.break_down("package-0", "gone")
    acceptance = bench.accept()
    assert [item.meter for item in acceptance.missing] == ["rapl", "perf", "hwmon", "nvml"]
    assert all(item.reason and item.remedy for item in acceptance.missing)
    assert (acceptance.counters, acceptance.phases) == ((), ())
    assert acceptance.findings == {"counters": [], "agreements": [], "problems": []}


@pytest.mark.parametrize("path", ARCHIVES, ids=lambda path: path.stem)
def test_a_committed_archive_verifies_and_the_simulated_machine_replays_it(
    path: Path, tmp_path: Path
) -> None:
    """What people sent: the same counters and reasons come out of the same files."""
    assert verify(path, tmp_path) == 0
    acceptance, _ = read_archive(path)
    archived = ArchivedMachine(acceptance, tmp_path)
    chosen = partial(
        choose_meter, root=archived.root, system=archived.system, nvml=FakeNvml(broken="nvmlInit")
    )
    _, missing = find_counters(altered(LocalMachine(), choose_meter=chosen), "cpu")
    reasons = {item.meter: item.reason for item in acceptance.missing if item.meter != "nvml"}
    assert {item.meter: item.reason for item in missing if item.meter in reasons} == reasons
    for trace in acceptance.counters:
        if trace.meter == "rapl":
            check = check_meter(archived.rapl(), archived.clock, archived.step).facts()
            assert {**check, "reads": 0} == {**replayed_check(trace).facts(), "reads": 0}


@pytest.mark.parametrize("path", ARCHIVES, ids=lambda path: path.stem)
def test_a_committed_archive_names_no_machine(path: Path) -> None:
    """No serial number, unique name or path of a user, and the facts are those that a record has."""
    acceptance, _ = read_archive(path)
    text = acceptance.model_dump_json()
    assert not [word for word in ("GPU-", "serial", "uuid", "/home/", "/root/", "/tmp/") if word in text]
    assert set(acceptance.host) <= set(LocalMachine().host().facts)


def test_a_file_outside_of_the_kernel_s_folders_is_refused(tmp_path: Path) -> None:
    """A replay writes the files of an archive below a folder, and nowhere else."""
    config = Bench(tmp_path / "machine").accept().model_dump(mode="json")
    for name in ("sys/../../x", "/etc/passwd", "home/x"):
        payload = json.dumps({**config, "files": {name: "x"}})
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            archive.writestr("acceptance.json", payload)
        with pytest.raises(DataError, match="expected the path of a kernel file"):
            read_archive(tmp_path / "a.zip")


def test_kernel_files_are_copied_by_a_list(tmp_path: Path) -> None:
    """A serial number beside the counters, and a sensor without energy, are not copied."""
    for name, text in (
        ("sys/class/powercap/intel-rapl:0/name", "package-0"),
        ("sys/class/powercap/intel-rapl:0/serial", "SECRET"),
        ("sys/class/hwmon/hwmon0/name", "secret_disk"),
        ("sys/class/hwmon/hwmon1/name", "amd_energy"),
        ("sys/class/hwmon/hwmon1/energy1_label", "Esocket0"),
        ("etc/hostname", "SECRET"),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{text}\n")
    assert machine_files(tmp_path) == {
        "sys/class/hwmon/hwmon1/energy1_label": "Esocket0",
        "sys/class/hwmon/hwmon1/name": "amd_energy",
        "sys/class/powercap/intel-rapl:0/name": "package-0",
    }


def test_the_record_of_the_run_has_no_hash_of_the_host_name() -> None:
    """It is the sha256 of nothing, and no commit is read."""
    machine = unnamed(LocalMachine())
    assert machine.host().name_sha256 == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert machine.revision() is None


def test_a_busy_loop_uses_cpu_time_and_ends() -> None:
    """The process is gone after the block, and its CPU time is known."""
    with busy_cpus(1) as load:
        assert load.processes[0].poll() is None
    assert load.processes[0].returncode == -9
    assert load.cpu_s is not None


def verify(path: Path, folder: Path | None = None) -> int:
    """Return the exit code of `bench verify`; its cache is below the folder."""
    context = CliContext(LocalMachine, load_catalog, lambda: (folder or path.parent) / "cache", {})
    return call(["verify", str(path)], context)


def test_an_archive_verifies_until_a_value_is_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One recorded microjoule count more, and the findings do not follow any more: exit code 7."""
    from importlib.metadata import version

    acceptance = Bench(tmp_path / "machine").accept()
    acceptance = acceptance.model_copy(
        update={"version": version("fastformers-bench"), "run_reason": "left out"}
    )
    write_archive(tmp_path / "good.zip", acceptance, None)
    assert verify(tmp_path / "good.zip") == 0
    assert "not checked, because the archive has no run: left out" in capsys.readouterr().out
    config = acceptance.model_dump(mode="json")
    config["counters"][0]["phases"][0]["rows"][-1][1] += 5_000_000
    write_archive(tmp_path / "bad.zip", Acceptance.model_validate(config), None)
    assert verify(tmp_path / "bad.zip") == 7


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"other.txt": "x"}, "it holds 'other.txt'"),
        ({}, "it holds no acceptance.json"),
        ({"acceptance.json": "[]"}, "not an acceptance archive"),
        ({"acceptance.json": '{"format": 2}'}, "not an acceptance archive"),
        ({"acceptance.json": "{}", "runs/../../x.json": "{}"}, "which no archive has"),
    ],
)
def test_another_zip_is_refused(files: dict[str, str], reason: str, tmp_path: Path) -> None:
    """Each with its reason."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    (tmp_path / "a.zip").write_bytes(buffer.getvalue())
    with pytest.raises(DataError, match=reason):
        read_archive(tmp_path / "a.zip")


def test_a_row_of_another_width_is_refused(tmp_path: Path) -> None:
    """Two zones, and a row of one value."""
    config = Bench(tmp_path / "machine").accept().model_dump(mode="json")
    config["counters"][0]["check"][0].pop()
    write_archive(tmp_path / "a.zip", Acceptance.model_validate(config), None)
    with pytest.raises(DataError, match="does not hold a time and 2 values"):
        read_archive(tmp_path / "a.zip")

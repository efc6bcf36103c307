"""`bench run --cluster` on hosts that are worlds of this process; `tests/cluster` has Ray's own."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from stores import sealed_run, three_records
from worlds import World, boolq_folder

from harness.cli.app import call
from harness.records.store import Store
from harness.runs.cluster import ray_hosts
from harness.runs.cluster.dispatch import HostLost
from harness.runs.cluster.point import Point, PointResult, digest_of
from harness.testing.world import altered


class WorldHost:
    """A host on which `bench run` runs in a world of its own."""

    def __init__(self, root: Path, name: str, *, lost: bool = False, digest: str | None = None) -> None:
        self.name, self._world, self._lost, self._digest = name, World(root / name), lost, digest
        self._world.machine = altered(self._world.machine, suffix=lambda: f"{name}{len(self.arguments):03d}")
        self.arguments: list[tuple[str, ...]] = []
        self.forgotten: list[str] = []

    def run(self, point: Point) -> PointResult:
        if self._lost:
            raise HostLost("its node is lost.", where=self.name)
        self.arguments.append(point.arguments)
        root = self._world.root / point.name
        code = call(["run", *point.arguments, "--store", str(root), "--quiet"], self._world.context())
        folders = Store(root).runs()
        files = {
            folder.name: {path.name: path.read_bytes() for path in folder.path.iterdir()}
            for folder in folders
        }
        return PointResult(code, files)

    def digests(self, paths: Sequence[str]) -> dict[str, str | None]:
        return {path: self._digest or digest_of(path) for path in paths}

    def jobs(self) -> dict[str, list[str]]:
        return {}

    def forget(self, job: str, name: str) -> None:
        del job
        self.forgotten.append(name)


def measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hosts: Sequence[WorldHost], *words: str
) -> tuple[int, Store]:
    @contextmanager
    def fake_hosts(_address: str, _wanted: str) -> Iterator[Sequence[WorldHost]]:
        yield hosts

    monkeypatch.setattr(ray_hosts, "ray_hosts", fake_hosts)
    world = World(tmp_path / "driver")
    data = boolq_folder(tmp_path)
    command = ["run", "--data", str(data), "--variants", "pytorch-fixed", "--cluster", "ray:local", *words]
    return call(command, world.context()), Store(world.store)


def lengths(store: Store) -> list[int]:
    return sorted(record.cell.max_length for record in store.records(store.runs())[0])


@pytest.fixture
def sweep(tmp_path: Path) -> str:
    (tmp_path / "sweep.yaml").write_text("rounds: 3\nsweep: {max-length: [64, 128]}\n")
    return str(tmp_path / "sweep.yaml")


def test_every_host_measures_the_whole_sweep_and_one_store_has_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sweep: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each run has its own value of what is crossed; what was handed over is forgotten on the host."""
    hosts = [WorldHost(tmp_path, "a"), WorldHost(tmp_path, "b")]
    code, store = measured(tmp_path, monkeypatch, hosts, "--config", sweep)
    assert code == 0
    assert lengths(store) == [64, 64, 128, 128]
    assert [arguments[-4:] for arguments in hosts[0].arguments] == [
        ("--task", "boolq", "--max-length", "64"),
        ("--task", "boolq", "--max-length", "128"),
    ]
    assert hosts[1].forgotten == ["000-boolq", "001-boolq"]
    assert "boolq on cpu" in capsys.readouterr().out


def test_runs_are_split_over_hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sweep: str) -> None:
    """Each is measured once."""
    hosts = [WorldHost(tmp_path, "a"), WorldHost(tmp_path, "b")]
    code, store = measured(tmp_path, monkeypatch, hosts, "--config", sweep, "--per-host", "split")
    assert (code, lengths(store)) == (0, [64, 128])


def test_a_lost_host_is_named_and_what_the_other_sealed_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 5; with no host left, 4."""
    hosts = [WorldHost(tmp_path, "a"), WorldHost(tmp_path, "b", lost=True)]
    code, store = measured(tmp_path, monkeypatch, hosts, "--rounds", "3")
    assert code == 5
    assert lengths(store) == [256]
    assert "b: 000-boolq: is lost: its node is lost." in capsys.readouterr().err
    code, _ = measured(tmp_path / "none", monkeypatch, [WorldHost(tmp_path, "c", lost=True)], "--rounds", "3")
    assert code == 4


class BegunHost(WorldHost):
    """A host that has begun points of two jobs, and has sealed runs of them."""

    def jobs(self) -> dict[str, list[str]]:
        return {"20260101-older": ["000-cb"], "20260102-newer": ["000-boolq", "001-boolq"]}

    def run(self, point: Point) -> PointResult:
        self.arguments.append((point.job, point.name, *point.arguments))
        root = self._world.root / point.name
        run = f"20260102-030405-boolq-{point.name}"
        sealed_run(root, list(three_records(run)), run=run)
        return PointResult(
            0, {run: {path.name: path.read_bytes() for path in (root / "runs" / run).iterdir()}}
        )


def test_a_job_that_was_broken_off_is_continued_where_its_journals_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The points have no arguments: their runs are resumed, and none is begun. An unknown job is refused."""
    host = BegunHost(tmp_path, "a")
    code, store = measured(tmp_path, monkeypatch, [host], "--resume", "latest")
    assert code == 0
    assert host.arguments == [("20260102-newer", "000-boolq"), ("20260102-newer", "001-boolq")]
    assert len(store.runs()) == 2
    assert measured(tmp_path, monkeypatch, [host], "--resume", "other")[0] == 2


def test_options_of_a_cluster_without_one_are_refused(tmp_path: Path) -> None:
    """They would be ignored otherwise."""
    world = World(tmp_path)
    assert call(["run", "--hosts", "2"], world.context()) == 2
    assert call(["run", "--per-host", "split"], world.context()) == 2


def test_a_host_with_other_data_is_refused_by_name_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the sha256 of data and checkpoints."""
    hosts = [WorldHost(tmp_path, "a"), WorldHost(tmp_path, "b", digest="0" * 64)]
    code, store = measured(tmp_path, monkeypatch, hosts)
    assert code == 2
    assert "differs from the one here" in capsys.readouterr().err
    assert (store.runs(), hosts[0].arguments) == ([], [])

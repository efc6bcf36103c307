"""Commands with `--cluster` on hosts that are worlds of this process; `tests/cluster` has Ray's own."""

import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any

import pytest
from stores import sealed_run, three_records
from worlds import Heard, World, boolq_folder

from harness.cli.app import call
from harness.cli.cluster.training import record_of
from harness.common.errors import StoreError
from harness.records.store import RunFolder, Store
from harness.runs.cluster import ray_hosts, ray_tasks
from harness.runs.cluster.dispatch import HostLost
from harness.runs.cluster.point import Point, PointResult, arguments_of, digest_of
from harness.runs.cluster.training import Trained
from harness.runs.execution.run import start
from harness.runs.planning.options import RunOptions
from harness.testing.world import altered


class WorldHost:
    """A host on which commands of `bench` run in a world of its own."""

    def __init__(self, root: Path, name: str, *, lost: bool = False, digest: str | None = None) -> None:
        self.name, self._world, self._lost, self._digest = name, World(root / name), lost, digest
        self._world.machine = altered(self._world.machine, suffix=lambda: f"{name}{len(self.arguments):03d}")
        self.arguments: list[tuple[str, ...]] = []
        self.forgotten: list[str] = []
        self.artifacts: list[str] = []
        self.held = False

    def run(self, point: Point) -> PointResult:
        if self._lost:
            raise HostLost("its node is lost.", where=self.name)
        self.arguments.append(point.arguments)
        root = self._world.root / point.name
        code, messages = self._call([*arguments_of(point, Store(root)), "--quiet"])
        folders = Store(root).runs()
        files = {
            folder.name: {path.name: path.read_bytes() for path in folder.path.iterdir()}
            for folder in folders
            if not folder.unfinished
        }
        unfinished = tuple(folder.name for folder in folders if folder.unfinished)
        return PointResult(code, files, unfinished, messages)

    def _call(self, words: Sequence[str]) -> tuple[int, tuple[str, ...]]:
        return call(words, self._world.context()), ()

    def digests(self, paths: Sequence[str]) -> dict[str, str | None]:
        self.held = True
        return {path: self._digest or digest_of(path) for path in paths}

    def jobs(self) -> dict[str, list[str]]:
        return {}

    def forget(self, job: str, name: str) -> None:
        del job
        self.forgotten.append(name)

    def add_artifact(self, key: str, files: Mapping[str, bytes]) -> None:
        self.artifacts.append(key)
        assert "manifest.json" in files

    def release(self) -> None:
        self.held = False


def on_hosts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hosts: Sequence[WorldHost], *words: str
) -> tuple[int, Store]:
    @contextmanager
    def fake_hosts(_address: str, _wanted: str) -> Iterator[Sequence[WorldHost]]:
        yield hosts

    monkeypatch.setattr(ray_hosts, "ray_hosts", fake_hosts)
    world = World(tmp_path / "driver")
    return call([*words, "--cluster", "ray:local"], world.context()), Store(world.store)


def measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hosts: Sequence[WorldHost], *words: str
) -> tuple[int, Store]:
    command = ("run", "--data", str(boolq_folder(tmp_path)), "--variants", "pytorch-fixed")
    return on_hosts(tmp_path, monkeypatch, hosts, *command, *words)


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
    assert call(["ladder", "--hosts", "2"], world.context()) == 2
    assert call(["search", "--hosts", "2"], world.context()) == 2
    assert call(["train", "--seeds", "0,1", "-o", str(tmp_path / "m")], world.context()) == 2
    assert call(["train", "--task", "boolq,cb", "-o", str(tmp_path / "m")], world.context()) == 2


def test_a_host_with_other_data_is_refused_by_name_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the sha256 of data and checkpoints."""
    hosts = [WorldHost(tmp_path, "a"), WorldHost(tmp_path, "b", digest="0" * 64)]
    code, store = measured(tmp_path, monkeypatch, hosts)
    assert code == 2
    assert "differs from the one here" in capsys.readouterr().err
    assert (store.runs(), hosts[0].arguments) == ([], [])


def test_a_host_with_another_checkpoint_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One byte of its weights."""
    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    (checkpoint / "model.safetensors").write_bytes(b"weights")
    digest = digest_of(str(checkpoint))
    (checkpoint / "model.safetensors").write_bytes(b"Weights")
    hosts = [WorldHost(tmp_path, "a"), WorldHost(tmp_path, "b", digest=digest)]
    code, _ = on_hosts(tmp_path, monkeypatch, hosts, "ladder", "--ladder", "fake", "--model", str(checkpoint))
    assert code == 2
    assert f"b: {checkpoint} differs from the one here (sha256)" in capsys.readouterr().err
    assert hosts[0].arguments == []


class ChangedHost(WorldHost):
    """A host with an unfinished run, which is another machine now."""

    def jobs(self) -> dict[str, list[str]]:
        options = RunOptions("boolq", data=boolq_folder(self._world.root), rounds=3)
        store = Store(self._world.root / "000-boolq")
        start(options, self._world.catalog, store, self._world.cache, self._world.machine, Heard())
        other = self._world.machine.host().model_copy(
            update={"fingerprint": "c" * 64, "facts": {"model": "Other CPU"}}
        )
        self._world.machine = altered(self._world.machine, host=lambda: other)
        return {"20260101-job": ["000-boolq"]}

    def _call(self, words: Sequence[str]) -> tuple[int, tuple[str, ...]]:
        with redirect_stderr(io.StringIO()) as messages:  # no other host works meanwhile
            code = call(words, self._world.context())
        return code, tuple(messages.getvalue().splitlines()[:1])


def test_a_host_that_became_another_machine_is_refused_by_name_when_its_run_is_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rounds of unlike machines are never joined; the run stays where it can be resumed."""
    host = ChangedHost(tmp_path, "a")
    code, store = measured(tmp_path, monkeypatch, [host], "--resume", "latest")
    assert (code, store.runs(), host.forgotten) == (4, [], [])
    shown = capsys.readouterr().err
    assert "a: 000-boolq: ended with exit 2 (20260101-120000-boolq-" in shown
    assert "can be resumed): bench: 20260101-120000-boolq-" in shown
    assert "the run began on another machine, or this one has changed since: model: Fake CPU" in shown


LADDER = """
name: mine
rungs:
- {name: padded, engine: pytorch-fixed}
- {name: small, engine: onnx-int8, recipes: [{distil: {epochs: 1}}], over: padded}
- {name: pruned, engine: onnx-int8, recipes: [{prune: {heads: 0.5}}], over: padded}
- {name: smaller, like: small, then: [{prune: {heads: 0.5}}], over: padded}
"""


@pytest.fixture
def ladder(tmp_path: Path) -> tuple[str, ...]:
    (tmp_path / "mine.yaml").write_text(LADDER)
    return ("--ladder", str(tmp_path / "mine.yaml"), "--profile", "quick")


class Spread:
    """Trainings that take place in a world of their own, while no host is held."""

    def __init__(self, tmp_path: Path, hosts: Sequence[WorldHost], *, code: int | None = None) -> None:
        self._world, self._hosts, self._code = World(tmp_path / "trainer"), hosts, code
        self.points: list[Point] = []

    def __call__(
        self, points: Sequence[Point], expected: Mapping[str, str | None], report: Callable[[str], None]
    ) -> Iterator[tuple[Point, Trained]]:
        del expected
        for number, point in enumerate(points):
            assert not any(host.held for host in self._hosts)
            self.points.append(point)
            words = [point.command, *point.arguments, "--json", "--quiet"]
            code = call(words, self._world.context()) if self._code is None else self._code
            folders = {} if code else {f"{number:064x}": {"manifest.json": b'{"recipe": "distil"}'}}
            trained = Trained("trainer", code, () if code == 0 else ("no space",), folders)
            report(f"{point.name} {trained.text}")
            yield point, trained


def test_a_search_trains_on_free_hosts_and_measures_on_each(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ladder: tuple[str, ...],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Rungs that share their first recipe are trained together; every host has its own winner."""
    hosts = [WorldHost(tmp_path, "a"), WorldHost(tmp_path, "b")]
    spread = Spread(tmp_path, hosts)
    monkeypatch.setattr(ray_tasks, "spread", spread)
    words = ("search", *ladder, "--max-quality-loss", "100", "--json")
    code, store = on_hosts(tmp_path, monkeypatch, hosts, *words)
    assert code == 0
    out = capsys.readouterr().out
    found = json.loads(out[out.rindex("\n[\n") :])
    assert [(each["host"], each["winner"]) for each in found] == [("a", "small"), ("b", "small")]
    assert [point.arguments[-3:] for point in spread.points] == [
        ("--rungs", "small,smaller", "--for-search"),
        ("--rungs", "pruned", "--for-search"),
    ]
    assert hosts[0].artifacts == hosts[1].artifacts == [f"{number:064x}" for number in range(2)]
    assert [len(each["runs"]) for each in found] == [2, 2]
    assert {name for each in found for name in each["runs"]} == {run.name for run in store.runs()}


class InterruptedHost(WorldHost):
    """A host whose first command is ended as by Ctrl-C after its first round."""

    def _call(self, words: Sequence[str]) -> tuple[int, tuple[str, ...]]:
        if len(self.arguments) > 1:
            return super()._call(words)
        append, rounds = RunFolder.append, iter(range(1))

        def interrupted(folder: RunFolder, entry: Mapping[str, Any]) -> None:
            if entry["kind"] == "round" and next(rounds, None) is None:
                raise KeyboardInterrupt
            append(folder, entry)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(RunFolder, "append", interrupted)
            return super()._call(words)

    def jobs(self) -> dict[str, list[str]]:
        return {
            "20260101-job": [path.name for path in self._world.root.glob("000-*")],
            "2026-run": ["000-cb"],
        }


def test_a_search_goes_on_with_the_same_options_where_it_was_interrupted(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ladder: tuple[str, ...],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The host keeps what it has measured; nothing is trained again, and no other run of the job is taken."""
    host = InterruptedHost(tmp_path, "a")
    spread = Spread(tmp_path, [host])
    monkeypatch.setattr(ray_tasks, "spread", spread)
    words = ("search", *ladder, "--max-quality-loss", "100", "--json")
    code, store = on_hosts(tmp_path, monkeypatch, [host], *words)
    assert (code, store.runs(), host.forgotten) == (4, [], [])
    capsys.readouterr()
    trained = len(spread.points)
    code, store = on_hosts(tmp_path, monkeypatch, [host], *words, "--resume", "20260101-job")
    assert (code, len(spread.points), host.forgotten) == (0, trained, ["000-boolq-search"])
    out = capsys.readouterr().out
    (found,) = json.loads(out[out.rindex("\n[\n") :])
    assert (found["winner"], found["runs"]) == ("small", sorted(run.name for run in store.runs())[::-1])
    assert {run.rpartition("-")[0] for run in found["runs"]} == {found["runs"][0].rpartition("-")[0]}


def test_a_run_is_not_resumed_as_a_search(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ladder: tuple[str, ...],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Nor is a search resumed by `bench run`, which would leave its second run out."""
    hosts = [InterruptedHost(tmp_path, "a")]
    assert on_hosts(tmp_path, monkeypatch, hosts, "search", *ladder, "--resume", "2026-run")[0] == 2
    assert "no host has begun 2026-run" in capsys.readouterr().err


def test_a_whole_ladder_is_measured_on_each_host_and_in_one_report(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ladder: tuple[str, ...],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A training that failed is named, and left to the hosts."""
    hosts = [WorldHost(tmp_path, "a"), WorldHost(tmp_path, "b")]
    monkeypatch.setattr(ray_tasks, "spread", Spread(tmp_path, hosts, code=4))
    code, store = on_hosts(tmp_path, monkeypatch, hosts, "ladder", *ladder, "--limit", "12")
    assert code == 0
    assert len(store.runs()) == 2
    assert hosts[0].arguments == [(*ladder, "--limit", "12")]
    out, err = capsys.readouterr()
    assert "train-small ended on trainer with exit 4: no space" in err
    assert "smaller" in out


@pytest.mark.parametrize("record", [b"", b"{", b"[]", b'{"seconds": "many"}'])
def test_a_model_without_a_record_of_its_training_is_refused(record: bytes) -> None:
    """A host may send anything."""
    with pytest.raises(StoreError, match="without a training"):
        record_of({"training.json": record})


TRAINED = {"training.json": b'{"seconds": 60.0}', "model.safetensors": b"weights"}


def train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, codes: Sequence[int], *words: str) -> int:
    """Train, where each training ends with one of these exit codes."""

    def spread(points: Sequence[Point], *_: object) -> Iterator[tuple[Point, Trained]]:
        for point, code in zip(points, codes, strict=True):
            yield point, Trained("a", code, ("no space",), {"model": TRAINED} if code == 0 else {})

    monkeypatch.setattr(ray_tasks, "spread", spread)
    return on_hosts(tmp_path, monkeypatch, [], "train", "-o", str(tmp_path / "m/{task}-{seed}"), *words)[0]


def test_trainings_of_several_tasks_and_seeds_each_write_a_folder_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that failed is missing, and the exit code is 5."""
    words = ("--task", "boolq,cb", "--seeds", "0,1", "--epochs", "2")
    assert train(tmp_path, monkeypatch, [0, 0, 0, 4], *words) == 5
    assert sorted(path.name for path in (tmp_path / "m").iterdir()) == ["boolq-0", "boolq-1", "cb-0"]
    assert (tmp_path / "m/cb-0/model.safetensors").read_bytes() == b"weights"
    assert f"Trained in 00:01:00: {tmp_path}/m/cb-0" in capsys.readouterr().out


def test_trainings_that_all_failed_leave_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 2 for bad input, else 4."""
    assert train(tmp_path, monkeypatch, [2]) == 2
    assert train(tmp_path, monkeypatch, [4]) == 4
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--seeds", "0,1", "-o", "m"), "2 trainings need a folder each, got m"),
        (("--task", "boolq,bolq"), "Did you mean boolq"),
        (("--seeds", "0,one"), "expected numbers"),
        (("-o", "taken"), "the output exists already"),
    ],
)
def test_trainings_that_cannot_be_meant_are_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    message: str,
) -> None:
    """Before anything is placed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").write_text("")
    assert train(tmp_path, monkeypatch, [], *words) == 2
    assert message in capsys.readouterr().err

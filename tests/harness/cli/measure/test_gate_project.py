"""A user's own repository at the gate: a model, `bench.yaml`, data, and none of this program's code."""

import hashlib
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from repositories import commit, git, new_repository
from worlds import World, boolq_folder

from harness.cli.app import call
from harness.records.store import Store
from harness.systems.interface import (
    Artifact,
    Cache,
    Checkpoint,
    Placement,
    PreparationContext,
    PreparationSources,
    Settings,
    System,
)
from harness.testing.system import FakeVariant, fake_catalog
from harness.testing.world import FakeMachine, altered
from harness.workload.tasks.base import Task

VARIANT = "onnx-int8"


@dataclass(frozen=True, slots=True)
class ModelVariant(FakeVariant):
    """A fake that reads its speed and its wrong answers from the checkpoint's config.json."""

    def prepare(
        self, task: Task, sources: PreparationSources, settings: Settings, context: PreparationContext
    ) -> Artifact:
        del task, settings
        with context.cache.writing(sources.checkpoint.fingerprint) as folder:
            (folder / "manifest.json").write_text((sources.checkpoint.folder / "config.json").read_text())
        artifact = context.cache.find(sources.checkpoint.fingerprint)
        assert artifact is not None
        return artifact

    def load(self, task: Task, artifact: Artifact, placement: Placement, settings: Settings) -> System:
        config: Mapping[str, Any] = json.loads((artifact.folder / "manifest.json").read_text())
        alike = replace(self, ns_per_token=100 * config["layers"], wrong=config.get("wrong", 0))
        return FakeVariant.load(alike, task, artifact, placement, settings)


def find_checkpoint(model: str, task: Task, cache: Cache) -> Checkpoint:
    """Return the checkpoint in a folder; its configuration is all it holds."""
    del task, cache
    content = (Path(model) / "config.json").read_bytes()
    return Checkpoint(Path(model).name, Path(model), "local", hashlib.sha256(content).hexdigest())


class ProjectWorld(World):
    """A repository with a model of two layers, on a machine that measures what its config.json holds."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(root)
        fakes = fake_catalog(self.clock, ModelVariant(VARIANT, self.clock, 0))
        self.catalog = replace(fakes, resolve=find_checkpoint)
        names = itertools.count()
        self.machine = altered(FakeMachine(self.catalog, self.clock), suffix=lambda: f"{next(names):04}")
        self.project = new_repository(root / "project")
        self.data = boolq_folder(root)
        monkeypatch.chdir(self.project)
        self.write(layers=2)
        (self.project / "bench.yaml").write_text(
            f"variants: {VARIANT}\nmodel: model\ndata: {self.data}\nlimit: 32\nrounds: 7\n"
            "gate:\n  latency_p50: {max-degradation: 5%}\n  accuracy: {max-degradation: 0.5}\n"
        )
        commit(self.project)

    def write(self, **config: int) -> None:
        """Write the model."""
        (self.project / "model").mkdir(exist_ok=True)
        (self.project / "model" / "config.json").write_text(json.dumps(config))

    def gate(self, *words: str) -> int:
        """Run the gate with the options of bench.yaml."""
        return call(("gate", "--quiet", *words), self.context())


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ProjectWorld:
    return ProjectWorld(tmp_path, monkeypatch)


def test_a_model_that_did_not_change_passes(world: ProjectWorld) -> None:
    """The working folder against its commit: base, head and base again, all measured."""
    assert world.gate("--base", "HEAD") == 0
    store = Store(world.store)
    records, _ = store.records(store.runs())
    assert [record.cell.variant for record in records] == [
        f"{VARIANT}@{side}" for side in ("base", "head", "base-again")
    ]
    sides = records[0].configuration["sides"]
    short = git(world.project, "rev-parse", "--short=12", "HEAD")
    assert [(side["ref"], side["revision"]) for side in sides] == [
        ("HEAD", short),
        ("here", short),
        ("HEAD", short),
    ]


def test_a_model_with_more_layers_is_a_regression(
    world: ProjectWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    """Uncommitted first, then as the commit of a branch: three layers take half as long again as two."""
    world.write(layers=3)
    assert world.gate("--base", "main") == 3
    assert "latency p50 is 50.0 % worse" in capsys.readouterr().out
    commit(world.project)
    assert world.gate("--base", "HEAD~1", "--head", "HEAD") == 3
    assert world.gate("--base", "HEAD", "--head", "HEAD~1") == 0


def test_a_model_that_answers_wrongly_is_a_regression(
    world: ProjectWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every fifth answer: 20 points."""
    world.write(layers=2, wrong=5)
    assert world.gate("--base", "main") == 3
    assert "accuracy is 20.0 points worse" in capsys.readouterr().out.replace("quality", "accuracy")


def test_a_model_that_a_program_makes_is_measured_in_both_revisions(world: ProjectWorld) -> None:
    """Only the program is in git: `--setup` runs it in a checkout of base, and here."""
    (world.project / ".gitignore").write_text("made\n")
    for layers in (2, 3):
        (world.project / "make.sh").write_text(
            f"mkdir -p made; echo '{{\"layers\": {layers}}}' > made/config.json"
        )
        commit(world.project)
    words = ("--model", "made", "--setup", "sh make.sh")
    assert world.gate("--base", "HEAD~1", *words) == 3
    assert world.gate("--base", "HEAD", *words) == 0


def test_a_task_of_ones_own_is_gated_on_the_data_of_the_working_folder(world: ProjectWorld) -> None:
    """Both sides answer its rows, though base's commit has no such file."""
    rows = "".join(f"review {i} {'word ' * (i % 40)},{('bad', 'good')[i % 2]}\n" for i in range(200))
    (world.project / "reviews.csv").write_text(f"review,stars\n{rows}")
    own = (
        "--task",
        "custom",
        "--data",
        "reviews.csv",
        "--text",
        "review",
        "--label",
        "stars",
        "--split",
        "all",
    )
    assert world.gate("--base", "main", *own) == 0
    world.write(layers=3)
    assert world.gate("--base", "main", *own) == 3


def test_a_dry_run_lists_each_side_and_measures_nothing(
    world: ProjectWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither the store nor a checkout is written."""
    assert world.gate("--base", "main", "--dry-run") == 0
    out = capsys.readouterr().out
    assert all(f"{VARIANT}@{side} " in out for side in ("base", "head", "base-again"))
    assert not world.store.exists()
    assert not (world.cache / "refs").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--base", "no-such-branch"), "expected a git revision"),
        (("--base", "main", "--model", "embedded"), "main: there is no folder embedded in it."),
        (("--base", "main", "--variants", "onnx-int9"), "unknown variant 'onnx-int9'"),
        (("--base", "main", "--rules", "rules.yaml"), "rules.yaml: there is no such file"),
        (("--base", "main", "--format", "markdwn"), "unknown format 'markdwn'"),
        (("--base", "model", "--head", "main"), "one REF is a model or a project, and the other is code"),
        (("--base", "model", "--head", "model", "--setup", "make"), "--setup makes the model of a project"),
        (("--base", "main", "--null-test", VARIANT), "a gate is no null test"),
    ],
)
def test_what_cannot_be_compared_is_refused_by_one_message(
    world: ProjectWorld, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str
) -> None:
    """Exit 2, with a remedy, and nothing in the store."""
    assert world.gate(*words) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("bench: ") == 1
    assert error.strip().count("\n") >= 1
    assert not world.store.exists() or not any(world.store.glob("runs/*"))


def test_changes_that_a_named_head_lacks_are_refused(
    world: ProjectWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of the model alone: what else was edited is no part of it."""
    (world.project / "bench.yaml").write_text((world.project / "bench.yaml").read_text() + "seed: 1\n")
    assert world.gate("--base", "main", "--head", "HEAD") == 0
    world.write(layers=3)
    assert world.gate("--base", "main", "--head", "HEAD") == 2
    assert "the working folder has changes that HEAD lacks: model/config.json." in capsys.readouterr().err


def test_a_rule_that_names_a_variant_is_refused(
    world: ProjectWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rules are of quantities; nothing is measured under one that could never apply."""
    (world.project / "bench.yaml").write_text("gate:\n  onnx-int9: {max-degradation: 5%}\n")
    assert world.gate("--base", "main") == 2
    assert "unknown quantity in a rule 'onnx-int9'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ("--scenario", "batch", "--batch", "2", "--limit", "64"),
        ("--launches", "2", "--rounds", "6"),
        ("--instances", "2"),
        ("--window", "1ms"),
        ("--seed", "3"),
    ],
)
def test_options_of_a_run_are_those_of_a_gate(world: ProjectWorld, words: tuple[str, ...]) -> None:
    """How it is measured applies to both sides, and a slow-down is found."""
    assert world.gate("--base", "main", *words) == 0
    world.write(layers=3)
    assert world.gate("--base", "main", *words) == 3


def test_an_interrupted_gate_is_finished_and_judged(
    world: ProjectWorld, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message has the command, and what was measured stays."""
    world.write(layers=3)
    advance, interruptions = world.clock.advance, iter([KeyboardInterrupt])

    def interrupted(nanoseconds: int) -> None:
        for journal in world.store.glob("runs/*/journal/rounds.jsonl"):
            if len(journal.read_text().splitlines()) > 6 and (interruption := next(interruptions, None)):
                raise interruption
        advance(nanoseconds)

    monkeypatch.setattr(world.clock, "advance", interrupted)
    assert world.gate("--base", "main") == 130
    run = world.store.joinpath("runs")
    assert f"`bench gate --resume {next(run.iterdir()).name}` continues." in capsys.readouterr().err
    assert world.gate("--resume", "latest") == 3
    assert next(interruptions, None) is None
    assert len(list(run.iterdir())) == 1


def test_a_file_of_options_applies_and_a_sweep_is_refused(
    world: ProjectWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    """As `bench run --config` reads it; a gate is one run."""
    file = world.root / "options.yaml"
    file.write_text("rounds: 8\nseed: 5\n")
    assert world.gate("--base", "main", "--config", str(file)) == 0
    store = Store(world.store)
    records, _ = store.records(store.runs())
    assert {(record.configuration["seed"], len(record.rounds)) for record in records} == {(5, 8)}
    file.write_text("sweep:\n  seed: [1, 2]\n")
    assert world.gate("--base", "main", "--config", str(file)) == 2
    assert "--config: expected one run, got a sweep of 2." in capsys.readouterr().err

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from worlds import World, boolq_folder

from harness.catalog import Training
from harness.cli.app import call
from harness.common.errors import CheckpointError
from harness.measurement.energy.meter import MeterChoice
from harness.systems.interface import Cache, Checkpoint
from harness.testing.world import altered
from harness.workload.tasks.base import Task


@dataclass
class Teacher:
    """A fake trainer: remembers what it was asked, and reports two steps of progress."""

    asked: dict[str, Any]

    def resolve(self, model: str, task: Task, cache: Cache) -> Checkpoint:
        del task, cache
        if model == "pickled":
            raise CheckpointError("its weights are pickled.", where=model, remedy="Convert them.")
        return Checkpoint(model, Path(model), "local", "f" * 64)

    def finetune(
        self, task: Task, train: Any, val: Any, model: Checkpoint, output: Path, **words: Any
    ) -> Any:
        self.asked.update(words, task=task.name, train=len(train), val=len(val), model=model.name)
        self._report(words["progress"])
        energy = words["energy"]() if words["energy"] else None
        return {"seconds": 3723.0, "energy": energy, "output": output.name}

    def intermediate(self, pairs: Any, model: Checkpoint, cache: Cache, **words: Any) -> Any:
        del cache
        self.asked["first"] = {"pairs": len(pairs.examples), "model": model.name, "tuning": words["tuning"]}
        words["progress"](SimpleNamespace(fraction=1.0, loss=None, scoring=False))
        return SimpleNamespace(checkpoint=replace(model, name="taught"), facts={"key": "k"})

    def scratch(self, output: Path, *, seed: int, progress: Callable[[Any], None]) -> Any:
        self.asked.update(seed=seed, scratch=True)
        self._report(progress)
        return {"seconds": 60.0, "output": output.name}

    def _report(self, progress: Callable[[Any], None]) -> None:
        progress(SimpleNamespace(fraction=0.5, loss=None, scoring=False))
        progress(SimpleNamespace(fraction=1.0, loss=0.25, scoring=False))


@pytest.fixture
def asked() -> dict[str, Any]:
    return {}


def bench(world: World, asked: dict[str, Any], *words: str, teacher: Teacher | None = None) -> int:
    teacher = teacher or Teacher(asked)
    training = Training(
        teacher.resolve, teacher.finetune, lambda **settings: settings, teacher.scratch, teacher.intermediate
    )
    return call(["train", *words], replace(world.context(), training=lambda: training))


def trainable(world: World) -> str:
    data = boolq_folder(world.root)
    (data / "BoolQ" / "val.jsonl").rename(data / "BoolQ" / "train.jsonl")
    return str(data)


def test_training_learns_from_train_and_never_from_what_is_reported(
    tmp_path: Path, asked: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """There is no val file in this folder at all."""
    world = World(tmp_path)
    output = tmp_path / "m"
    words = ["--data", trainable(world), "--output", str(output), "--epochs", "2", "--learning-rate", "1e-4"]
    assert bench(world, asked, *words) == 0
    assert (asked["task"], asked["train"], asked["val"], asked["model"]) == ("boolq", 100, 0, "minilm")
    assert asked["tuning"] == {
        "epochs": 2, "learning_rate": 1e-4, "batch": 16, "max_length": 256, "seed": 0,
    }  # fmt: skip
    assert asked["resume"] is True
    out, err = capsys.readouterr()
    assert out == f"Trained in 01:02:03: {output}\nHow, and what it cost: {output}/training.json\n"
    assert err == "check data and model ...\nload data and model ...\ntrain minilm on boolq ...\n"


def test_the_energy_of_training_is_that_of_its_window(
    tmp_path: Path, asked: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """The fake meter gives 10 W for the 10 ns between two looks at the clock: 0 uJ, and it says so."""
    world = World(tmp_path)
    words = ["--data", trainable(world), "-o", str(tmp_path / "m"), "--json", "--quiet"]
    assert bench(world, asked, *words) == 0
    (reading,) = json.loads(capsys.readouterr().out)["energy"]
    assert (reading["grade"], reading["source"]) == ("measured", "fake meter")


def test_the_meter_of_training_is_the_one_that_was_asked_for(
    tmp_path: Path, asked: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """As in `bench run`: a name reaches the one place that chooses, and `none` measures nothing."""
    named: list[str] = []
    world = World(tmp_path)
    usual = world.machine.choose_meter("cpu")

    def choose(_device: str, wanted: str = "") -> MeterChoice:
        named.append(wanted)
        return MeterChoice(None, ()) if wanted == "none" else usual

    world.machine = altered(world.machine, choose_meter=choose)
    words = ["--data", trainable(world), "-o", str(tmp_path / "m"), "--json", "--quiet", "--meter"]
    for name, read in (("fake", True), ("none", False)):
        assert bench(world, asked, *words, name) == 0
        assert bool(json.loads(capsys.readouterr().out)["energy"]) is read
    assert named == ["fake", "none"]


def test_without_data_the_embedded_sample_is_learned(tmp_path: Path, asked: dict[str, Any]) -> None:
    """Its training rows are generated."""
    assert bench(World(tmp_path), asked, "--task", "rte", "-o", str(tmp_path / "m"), "-q") == 0
    assert (asked["task"], asked["train"]) == ("rte", 4096)


def test_pairs_come_first_with_a_seed_of_their_own(tmp_path: Path, asked: dict[str, Any]) -> None:
    """Every task and seed begins with one intermediate checkpoint, whose record the training gets."""
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("a,b,kind\none,two,same\none,three,other\n", encoding="utf-8")
    words = ["--first", str(pairs), "--first-text", "a,b", "--first-label", "kind", "--first-epochs", "2"]
    assert bench(World(tmp_path), asked, "--seed", "5", "-o", str(tmp_path / "m"), "-q", *words) == 0
    first = asked["first"]
    assert (first["pairs"], first["model"]) == (2, "minilm")
    assert (first["tuning"]["epochs"], first["tuning"]["seed"]) == (2, 0)
    assert (asked["model"], asked["tuning"]["seed"], asked["first_training"]) == ("taught", 5, {"key": "k"})


def test_methods_for_few_examples_reach_the_task_and_not_the_pairs(
    tmp_path: Path, asked: dict[str, Any]
) -> None:
    """The intermediate checkpoint is the same for all of them; what is off is not passed on."""
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("premise,hypothesis,label\none,two,same\none,three,other\n", encoding="utf-8")
    words = [
        *("--layer-decay", "0.9", "--reinit-layers", "1", "--r-drop", "1", "--average", "0.99"),
        *("--patience", "2", "--train-share", "0.25", "--split-seed", "0"),
    ]
    assert bench(World(tmp_path), asked, "-o", str(tmp_path / "m"), "-q", "--first", str(pairs), *words) == 0
    usual = {"epochs", "learning_rate", "batch", "max_length", "seed"}
    assert set(asked["first"]["tuning"]) == usual
    assert {name: value for name, value in asked["tuning"].items() if name not in usual} == {
        "layer_decay": 0.9, "reinit_layers": 1, "r_drop": 1.0, "average": 0.99, "patience": 2,
        "train_share": 0.25, "split_seed": 0,
    }  # fmt: skip


def test_scratch_makes_the_embedded_encoder_anew(
    tmp_path: Path, asked: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """The documented command."""
    words = ["--model", "scratch", "--seed", "3", "-o", str(tmp_path / "m"), "-q"]
    assert bench(World(tmp_path), asked, *words) == 0
    assert asked == {"seed": 3, "scratch": True}
    assert "Trained in 00:01:00" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "pickled"], "bench: pickled: its weights are pickled.\nConvert them.\n"),
        (["--task", "rt"], "Did you mean rte"),
        (["--data", "nowhere"], "there is no such folder"),
        (["--device", "gpu"], "Devices are cpu, cuda and cuda:N"),
        (["--epochs", "-1"], "--epochs"),
        (["--model", "scratch", "--meter", "rapl"], "trained without a meter, got rapl"),
        (["--learning-rate", "0"], "--learning-rate"),
        (["--first", "nowhere.jsonl"], "nowhere.jsonl"),
        (["--first", "nowhere.jsonl", "--first-text", "a"], "must name two columns, got 'a'"),
        (["--first", "nowhere.jsonl", "--model", "scratch"], "--model scratch trains no task"),
        (["--r-drop", "1", "--model", "scratch"], "--r-drop: --model scratch has settings of its own"),
        (["--first-epochs", "3"], "--first-epochs: it belongs to --first, and no file is named"),
        (["--epochs", "0", "--model", "scratch"], "--epochs: --model scratch has settings of its own"),
        (["--max-time", "5m", "--model", "scratch"], "--max-time: --model scratch has settings of its own"),
        (["--train-share", "0"], "--train-share"),
        (["--average", "1"], "--average"),
    ],
)
def test_bad_input_is_one_message_and_exit_code_2(
    tmp_path: Path,
    asked: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    message: str,
) -> None:
    """Before training begins."""
    assert bench(World(tmp_path), asked, "-o", str(tmp_path / "m"), "-q", *words) == 2
    assert message in capsys.readouterr().err
    assert asked == {}


def test_an_interrupted_training_says_how_to_continue(
    tmp_path: Path, asked: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 130: the same command goes on from the last checkpoint."""

    class Interrupted(Teacher):
        def finetune(self, *_: Any, **__: Any) -> Any:
            raise KeyboardInterrupt

    world, teacher = World(tmp_path), Interrupted(asked)
    words = ["--data", trainable(world), "--output", str(tmp_path / "m")]
    assert bench(world, asked, *words, teacher=teacher) == 130
    err = capsys.readouterr().err
    assert "m: interrupted; the last checkpoint is kept.\nThe same command continues." in err


def test_an_output_must_be_named(
    tmp_path: Path, asked: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """A trained model never lands somewhere by default."""
    assert bench(World(tmp_path), asked) == 2
    assert "--output" in capsys.readouterr().err

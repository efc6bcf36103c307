"""A student comes to answer as its teacher does, whatever head, tokenizer and interruption."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny

from baselines.checkpoints.folder import file_sha256, read_config
from baselines.checkpoints.labels import label_columns
from baselines.encoding.batching import Batching
from baselines.encoding.tokenizer import TextEncoder
from baselines.models.classifier import load_classifier, runner
from harness.common.errors import CheckpointError, DataError, MeasurementError, UsageError
from harness.systems.artifact_cache import ArtifactCache
from harness.systems.interface import Checkpoint, Predictions, PreparationContext, PreparationSources
from harness.workload.tasks import get_task
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Example
from harness.workload.tasks.superglue.boolq import BOOLQ
from optimized.recipes.base import RecipeOutput
from optimized.recipes.distillation.recipe import Distil
from optimized.recipes.resumable import TrainingSession

QUICK = Distil("student", epochs=2, batch=8, learning_rate=2e-3, bf16=False)
LEARN = replace(QUICK, epochs=12, learning_rate=4e-3, keep_best=False)
SURE: Mapping[str, float] = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Let sums have one order."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture
def teacher(boolq_folder: Path) -> Checkpoint:
    """Return the tiny BoolQ checkpoint: its random logits vary with the text."""
    return tiny.checkpoint_of(boolq_folder)


@pytest.fixture
def student(tmp_path: Path) -> Path:
    """Make a narrower encoder of one layer without a head."""
    return tiny.tiny_checkpoint(
        tmp_path / "student", head=False, seed=5, spread=0.1, hidden_size=16, num_hidden_layers=1
    )


def shop(root: Path, told: list[str] | None = None) -> PreparationContext:
    return replace(tiny.workshop(root, told=told), cache=ArtifactCache(root))


def made(
    recipe: Distil, teacher: Checkpoint, root: Path, task: Task = BOOLQ, examples: list[Example] | None = None
) -> RecipeOutput:
    """Apply the recipe; the names of other checkpoints are folders beside the cache."""
    examples = tiny.examples(64) if examples is None else examples
    sources = PreparationSources(
        teacher,
        training=lambda: examples,
        training_sha256="d",
        resolve=lambda name: tiny.checkpoint_of(root.parent / name),
    )
    settings = tiny.SHORT if task is BOOLQ else tiny.LONG
    return recipe.apply(task, [teacher], sources, settings, shop(root))


def answers(folder: Path, task: Task, examples: list[Example]) -> Predictions:
    encoder = TextEncoder(folder, 32 if task is BOOLQ else 128)
    batching = Batching(8, encoder.pad_id, label_columns(read_config(folder), task, "test"))
    return batching.answer(encoder.encode(examples), runner(load_classifier(folder)))


def distance(teacher: Path, student: Path, task: Task, examples: list[Example]) -> float:
    """Return the mean KL divergence of the student's shares from the teacher's, over labels or candidates."""
    wanted, found = answers(teacher, task, examples), answers(student, task, examples)
    if task.head == "choice":
        parts = [np.split(each.logits[:, 0], each.offsets[1:-1]) for each in (wanted, found)]
    else:
        parts = [list(each.logits) for each in (wanted, found)]
    return float(np.mean([_divergence(*pair) for pair in zip(*parts, strict=True)]))


def _divergence(wanted: Any, found: Any) -> float:
    one, other = (each - np.log(np.sum(np.exp(each))) for each in (wanted, found))
    return float(np.sum(np.exp(one) * (one - other)))


def weights_of(folder: Path) -> dict[str, Any]:
    from safetensors.numpy import load_file

    found: dict[str, Any] = load_file(folder / "model.safetensors")
    return found


def same_weights(one: Path, other: Path) -> bool:
    mine, theirs = weights_of(one), weights_of(other)
    return mine.keys() == theirs.keys() and all(np.array_equal(mine[name], theirs[name]) for name in mine)


@pytest.mark.parametrize(("name", "count"), [("boolq", 32), ("copa", 32), ("wic", 32), ("multirc", 6)])
def test_a_student_draws_near_to_a_known_teacher(name: str, count: int, tmp_path: Path) -> None:
    """Over labels, choices, spans, several sequences a request; the student starts with other weights."""
    task = get_task(name)
    examples = tiny.task_examples(task, count)
    teacher = tiny.checkpoint_of(tiny.task_checkpoint(tmp_path / "teacher", task, seed=1))
    before = tiny.task_checkpoint(tmp_path / "student", task, seed=2, **SURE)
    result = made(LEARN, teacher, tmp_path / "cache", task, examples)
    assert result.checkpoint.trained
    start = distance(teacher.folder, before, task, examples)
    assert distance(teacher.folder, result.checkpoint.folder, task, examples) < 0.2 * start


def test_teacher_and_student_read_with_their_own_tokenizers(
    teacher: Checkpoint, student: Path, tmp_path: Path
) -> None:
    """The student's ids are the teacher's backwards, and its answers still come near."""
    words = json.loads((student / "tokenizer.json").read_text())
    last = len(tiny.vocabulary()) - 1
    vocabulary = words["model"]["vocab"]
    words["model"]["vocab"] = {
        word: place if word in tiny.SPECIAL else last - place + len(tiny.SPECIAL)
        for word, place in vocabulary.items()
    }
    (student / "tokenizer.json").write_text(json.dumps(words))
    examples = tiny.examples(64)
    result = made(LEARN, teacher, tmp_path / "cache", examples=examples)
    wanted = answers(teacher.folder, BOOLQ, examples).logits
    indifferent = float(np.mean([_divergence(row, np.zeros(2)) for row in wanted]))
    assert distance(teacher.folder, result.checkpoint.folder, BOOLQ, examples) < 0.5 * indifferent
    with pytest.raises(UsageError, match=r"different tokenizers(.|\n)*Set hidden to 0"):
        made(replace(QUICK, hidden=1.0), teacher, tmp_path / "cache")


@pytest.mark.usefixtures("student")
def test_the_teacher_is_asked_once(teacher: Checkpoint, tmp_path: Path) -> None:
    """A second seed finds its logits, and the same recipe finds everything; nothing names a path."""
    root = tmp_path / "cache"
    first = made(QUICK, teacher, root)
    kept = {artifact.key for artifact in ArtifactCache(root).artifacts()}
    logits = first.artifact.manifest["teacher_logits"][0]["key"]
    assert kept == {logits, first.artifact.key}
    other = made(replace(QUICK, seed=1), teacher, root)
    assert {artifact.key for artifact in ArtifactCache(root).artifacts()} == {*kept, other.artifact.key}
    assert other.artifact.manifest["teacher_logits"][0]["key"] == logits
    assert not same_weights(first.checkpoint.folder, other.checkpoint.folder)
    again = made(QUICK, teacher, root)
    assert (again.artifact.fresh, again.checkpoint) == (False, first.checkpoint)
    assert first.artifact.fresh
    assert str(tmp_path) not in (first.artifact.folder / "manifest.json").read_text()
    assert list((root / "working").glob("*/")) == []


@pytest.mark.usefixtures("student")
def test_the_manifest_says_how_good_the_student_is_where_it_was_not_trained(
    teacher: Checkpoint, tmp_path: Path
) -> None:
    """64 examples, 10 % (7) held out; the teacher's score stands beside; the kept epoch is the best."""
    manifest = made(QUICK, teacher, tmp_path / "cache").artifact.manifest
    assert manifest["examples"] == {"trained_on": 57, "held_out": 7, "extra": 0}
    selection = manifest["selection"]
    assert selection["score"] == max(score for _, score in selection["per_epoch"])
    assert selection["examples"] == 7
    assert 0 <= selection["teacher_score"] <= 1
    # 57 in batches of 8: 8 steps an epoch
    assert manifest["steps"] == 16
    assert manifest["kept_step"] in (8, 16)
    assert manifest["parameters"]["epochs"] == 2
    assert manifest["energy"] == "unavailable, because nobody measured it"


FEATURES = (0.0, 0.5)


@pytest.mark.usefixtures("student")
def test_an_interrupted_distillation_goes_on_to_the_same_weights(teacher: Checkpoint, tmp_path: Path) -> None:
    """Killed at three quarters, only logits are in the cache; going on gives what one run gives.

    With logits alone, and with hidden states and attention too: both are killed in forks of one process,
    which loads PyTorch once.
    """
    code = (
        "import os, signal, sys, test_recipe as t\n"
        "from dataclasses import replace\n"
        "from pathlib import Path\n"
        "import baselines.training.trainer, torch; torch.set_num_threads(1)\n"
        "def tell(self, what, fraction, left=None):\n"
        "    self._keep()\n"
        "    if what == 'distil' and fraction > 0.7: os.kill(os.getpid(), signal.SIGKILL)\n"
        "t.TrainingSession.tell = tell\n"
        "teacher = t.tiny.checkpoint_of(Path(sys.argv[1]))\n"
        "for share in t.FEATURES:\n"
        "    recipe = replace(t.QUICK, hidden=share, attention=share)\n"
        "    child = os.fork()\n"
        "    if not child:\n"
        "        t.made(recipe, teacher, Path(sys.argv[2]) / f'cache{share}')\n"
        "        os._exit(0)\n"
        "    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    here = [str(Path(__file__).parent), str(Path(tiny.__file__).parent), *sys.path]
    done = subprocess.run(
        [sys.executable, "-c", code, str(teacher.folder), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, here))},
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == [str(-signal.SIGKILL.value)] * 2
    for share in FEATURES:
        root = tmp_path / f"cache{share}"
        assert [one.manifest["recipe"] for one in ArtifactCache(root).artifacts()] == ["teacher-logits"]
        recipe = replace(QUICK, hidden=share, attention=share)
        resumed = made(recipe, teacher, root)
        assert resumed.artifact.manifest["session_steps"] == [8, 16]
        assert "interrupted" in resumed.artifact.manifest["energy"]
        whole = made(recipe, teacher, tmp_path / f"other-cache{share}")
        assert same_weights(resumed.checkpoint.folder, whole.checkpoint.folder)
        assert whole.artifact.key == resumed.artifact.key
        assert list((root / "working").glob("*/")) == []


@pytest.mark.usefixtures("student")
def test_an_interrupted_teacher_says_nothing_twice(
    teacher: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 64 examples those of finished parts are kept, the others are asked; the logits are the same."""
    from baselines.training import trainer

    class StopError(Exception):
        pass

    def stop(_: TrainingSession, what: str, fraction: float, __: float | None = None) -> None:
        if what == "teacher" and fraction > 0.7:
            raise StopError

    rows = []
    answering = trainer.answering

    def counting(model: Any, *, bf16: bool) -> Any:
        run = answering(model, bf16=bf16)

        def counted(padded: Any) -> Any:
            rows.append(len(padded.ids))
            return run(padded)

        return counted

    monkeypatch.setattr("optimized.recipes.distillation.teacher._PART_TOKENS", 200)
    monkeypatch.setattr(trainer, "answering", counting)
    with monkeypatch.context() as patch:
        patch.setattr(TrainingSession, "tell", stop)
        with pytest.raises(StopError):
            made(QUICK, teacher, tmp_path / "cache")
    first = sum(rows)
    assert 32 < first < 64
    assert ArtifactCache(tmp_path / "cache").artifacts() == []
    monkeypatch.setattr(trainer, "run", lambda *_: 1 / 0)
    for name, left in (("cache", 64 - first), ("other", 64)):
        rows.clear()
        with pytest.raises(ZeroDivisionError):
            made(QUICK, teacher, tmp_path / name)
        assert sum(rows) == left
    one, other = (
        np.load(ArtifactCache(tmp_path / name).artifacts()[0].folder / "logits.npy")
        for name in ("cache", "other")
    )
    np.testing.assert_array_equal(one, other)


def test_progress_is_one_short_line_at_most_once_a_second(tmp_path: Path) -> None:
    """Half of the work in ten seconds leaves about ten; nothing is said 0.4 s later."""
    told: list[str] = []
    times = iter([0.0, 10.0, 10.0, 10.4, 11.5, 11.5])
    session = TrainingSession(tmp_path, told.append, lambda: next(times))
    session.tell("distil", 0.5)
    session.tell("distil", 0.6)
    session.tell("distil", 0.75, 4.0)
    assert told == ["distil 50 %, about 10 s left", "distil 75 %, about 4 s left"]
    assert TrainingSession(tmp_path, told.append, lambda: 100.0).seconds == 11.5


@pytest.mark.usefixtures("student")
def test_features_draw_hidden_states_near_and_leave_no_projection(
    teacher: Checkpoint, tmp_path: Path
) -> None:
    """A student half as wide: the first loss falls, and the checkpoint is as plain as without."""
    with_states = made(replace(LEARN, hidden=1.0, attention=1.0), teacher, tmp_path / "cache")
    losses = [loss for _, loss in with_states.artifact.manifest["loss"]]
    assert losses[-1] < 0.8 * losses[0]
    plain = made(replace(QUICK, epochs=1), teacher, tmp_path / "cache")
    assert weights_of(with_states.checkpoint.folder).keys() == weights_of(plain.checkpoint.folder).keys()
    assert read_config(with_states.checkpoint.folder)["hidden_size"] == 16


def test_a_student_cut_out_of_the_teacher_begins_with_its_layers_and_head(
    teacher: Checkpoint, tmp_path: Path
) -> None:
    """Layer 1 of 2 stays where it was, up to a step that is too small to see; its activation is another."""
    gentle = replace(QUICK, student="layers:1", learning_rate=1e-9, epochs=1, hidden_act="relu")
    folder = made(gentle, teacher, tmp_path / "cache").checkpoint.folder
    before, after = weights_of(teacher.folder), weights_of(folder)
    for name in ("attention.self.query.weight", "output.dense.weight"):
        np.testing.assert_allclose(
            after[f"bert.encoder.layer.0.{name}"], before[f"bert.encoder.layer.1.{name}"], atol=1e-5
        )
    np.testing.assert_allclose(after["classifier.weight"], before["classifier.weight"], atol=1e-5)
    config = read_config(folder)
    assert (config["num_hidden_layers"], config["hidden_act"]) == (1, "relu")
    assert load_classifier(folder).config.hidden_act == "relu"
    half = made(replace(gentle, student="layers:half"), teacher, tmp_path / "cache")
    assert half.artifact.manifest["parameters"]["layers"] == [0]


def test_the_model_teaches_what_was_pruned_of_it(teacher: Checkpoint, tmp_path: Path) -> None:
    """One of two heads and half of the units are left; the chain's first teaches its last, inside as well."""
    from baselines.models.resize import layers_of, narrow
    from baselines.training.trainer import save

    model = load_classifier(teacher.folder)
    narrow(model, [[0], [1]], [range(32), range(32)])
    save(model, tmp_path / "pruned")
    shutil.copy(teacher.folder / "tokenizer.json", tmp_path / "pruned")
    examples = tiny.examples(64)
    sources = PreparationSources(teacher, training=lambda: examples, training_sha256="d")
    recipe = replace(LEARN, student="last", hidden=0.1, attention=0.1, hidden_act="relu")
    chain = [teacher, tiny.checkpoint_of(tmp_path / "pruned")]
    folder = recipe.apply(BOOLQ, chain, sources, tiny.SHORT, shop(tmp_path / "cache")).checkpoint.folder
    assert [layer.heads for layer in layers_of(load_classifier(folder))] == [1, 1]
    start = distance(teacher.folder, tmp_path / "pruned", BOOLQ, examples)
    assert distance(teacher.folder, folder, BOOLQ, examples) < 0.5 * start


def test_labels_may_stand_in_another_order_than_the_teachers(teacher: Checkpoint, tmp_path: Path) -> None:
    """The student's column 0 is true, the teacher's false; logits cross by name."""
    tiny.tiny_checkpoint(tmp_path / "student", labels=("true", "false"), seed=3)
    examples = tiny.examples(64)
    start = distance(teacher.folder, tmp_path / "student", BOOLQ, examples)
    result = made(LEARN, teacher, tmp_path / "cache", examples=examples)
    assert result.artifact.manifest["labels"] == ["true", "false"]
    assert distance(teacher.folder, result.checkpoint.folder, BOOLQ, examples) < 0.5 * start


def written(path: Path, rows: list[Mapping[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.mark.usefixtures("student")
def test_extra_texts_are_taught_without_labels_and_known_by_content(
    teacher: Checkpoint, tmp_path: Path
) -> None:
    """The same file elsewhere is the same artifact, another file another; what is held out stays out."""
    rows = [{"idx": at, "passage": " ".join(tiny.WORDS[at:]), "question": "is it"} for at in range(8)]
    root = tmp_path / "cache"
    extra = written(tmp_path / "one.jsonl", rows)
    first = made(replace(QUICK, extra_text=extra), teacher, root)
    assert first.artifact.manifest["examples"]["extra"] == 8
    # 57 of train and 8 more, in batches of 8, none of them held out by its text: 9 steps an epoch
    assert first.artifact.manifest["steps"] == 18
    moved = made(replace(QUICK, extra_text=written(tmp_path / "two.jsonl", rows)), teacher, root)
    assert (moved.artifact.key, moved.artifact.fresh) == (first.artifact.key, False)
    fewer = made(replace(QUICK, extra_text=written(tmp_path / "three.jsonl", rows[1:])), teacher, root)
    assert fewer.artifact.key != first.artifact.key
    assert len({first.artifact.key, made(QUICK, teacher, root).artifact.key}) == 2
    with pytest.raises(DataError, match="no such file"):
        made(replace(QUICK, extra_text=str(tmp_path / "none.jsonl")), teacher, root)


@pytest.mark.parametrize("what", ["training split", "extra_text"])
def test_what_is_reported_is_never_learned_from(teacher: Checkpoint, tmp_path: Path, what: str) -> None:
    """Neither as training data nor as extra text; it is known by its content."""
    tiny.tiny_checkpoint(tmp_path / "student", head=False)
    extra = written(tmp_path / "val.jsonl", [{"idx": 0, "passage": "the lake", "question": "is it"}])
    reported = {"training split": "d", "extra_text": file_sha256(Path(extra))}[what]
    sources = PreparationSources(
        teacher,
        training=lambda: tiny.examples(8),
        training_sha256="d",
        reported_sha256=reported,
        resolve=lambda name: tiny.checkpoint_of(tmp_path / name),
    )
    with pytest.raises(DataError, match=f"{what} is the file that is reported"):
        replace(QUICK, extra_text=extra).apply(
            BOOLQ, [teacher], sources, tiny.SHORT, shop(tmp_path / "cache")
        )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", 0.0), ("temperature", float("nan")), ("hard_label", 1.5), ("hidden", -1.0),
        ("attention", float("inf")), ("epochs", 0), ("learning_rate", 0.0), ("batch", 0), ("max_length", 0),
        ("seed", -1), ("teacher", "second"), ("student", ""),
    ],
)  # fmt: skip
def test_parameters_that_make_no_sense_are_refused_by_name(
    teacher: Checkpoint, tmp_path: Path, name: str, value: Any
) -> None:
    """Before anything is read or written."""
    with pytest.raises(UsageError, match=rf"distil: {name} cannot be"):
        made(replace(QUICK, **{name: value}), teacher, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        (Distil("last"), "its own teacher"),
        (Distil("layers:2"), "which has 0 to 1"),
        (Distil("layers:1,0"), "names no layers"),
        (Distil("layers:x"), "names no layers"),
        (Distil("last", teacher="previous"), "no previous model"),
        (Distil("layers:half", hidden_act="loud"), "is no activation"),
    ],
)
def test_students_that_cannot_be_meant_are_refused(
    teacher: Checkpoint, tmp_path: Path, recipe: Distil, said: str
) -> None:
    """With the reason, and no artifact of a student."""
    with pytest.raises(UsageError, match=said):
        made(recipe, teacher, tmp_path / "cache")
    assert ArtifactCache(tmp_path / "cache").artifacts() == []


@pytest.mark.usefixtures("student")
def test_teachers_and_students_of_another_task_are_refused(teacher: Checkpoint, tmp_path: Path) -> None:
    """By untrained weights, by the labels of the head, and by the task that the folder says it learned."""
    root = tmp_path / "cache"
    with pytest.raises(CheckpointError, match=r"untrained model cannot teach(.|\n)*bench train --task boolq"):
        made(QUICK, replace(teacher, trained=False), root)
    other = tiny.tiny_checkpoint(tmp_path / "other", labels=("yes", "no", "maybe"))
    with pytest.raises(CheckpointError, match="its labels are yes, no, maybe"):
        made(QUICK, tiny.checkpoint_of(other), root)
    with pytest.raises(CheckpointError, match="student cannot learn boolq: its labels are yes, no, maybe"):
        made(replace(QUICK, student="other"), teacher, root)
    wic = tiny.tiny_checkpoint(tmp_path / "wic")
    (wic / "training.json").write_text(json.dumps({"task": "wic"}))
    with pytest.raises(CheckpointError, match="trained for wic, not for boolq"):
        made(QUICK, tiny.checkpoint_of(wic), root)


@pytest.mark.usefixtures("student")
def test_a_loss_that_is_no_number_leaves_nothing_in_the_cache(teacher: Checkpoint, tmp_path: Path) -> None:
    """Weights beyond what a float holds make it infinite."""
    with pytest.raises(MeasurementError, match="diverged"):
        made(replace(QUICK, hidden=1e38, epochs=1), teacher, tmp_path / "cache")
    artifacts = ArtifactCache(tmp_path / "cache").artifacts()
    assert [one.manifest["recipe"] for one in artifacts] == ["teacher-logits"]


@pytest.mark.usefixtures("student")
def test_without_training_examples_there_is_nothing_to_learn(teacher: Checkpoint, tmp_path: Path) -> None:
    """The diagnostics have no training split."""
    with pytest.raises(UsageError, match="no training examples"):
        made(QUICK, teacher, tmp_path / "cache", examples=[])

"""A student approaches its teacher's answers, for all heads, with other tokenizers, after interruptions."""

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
LONGER = replace(QUICK, epochs=12, learning_rate=4e-3, keep_best=False)
NO_DROPOUT: Mapping[str, float] = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Make the order of sums the same in every run."""
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


def context(root: Path) -> PreparationContext:
    return replace(tiny.preparation_context(root), cache=ArtifactCache(root))


def distil(
    recipe: Distil, teacher: Checkpoint, root: Path, task: Task = BOOLQ, examples: list[Example] | None = None
) -> RecipeOutput:
    """Apply the recipe; other checkpoints are named by their folders beside the cache."""
    examples = tiny.examples(64) if examples is None else examples
    sources = PreparationSources(
        teacher,
        training=lambda: examples,
        training_sha256="d",
        resolve=lambda name: tiny.checkpoint_of(root.parent / name),
    )
    settings = tiny.SHORT if task is BOOLQ else tiny.LONG
    return recipe.apply(task, [teacher], sources, settings, context(root))


def predict(folder: Path, task: Task, examples: list[Example]) -> Predictions:
    encoder = TextEncoder(folder, 32 if task is BOOLQ else 128)
    batching = Batching(8, encoder.pad_id, label_columns(read_config(folder), task, "test"))
    return batching.answer(encoder.encode(examples), runner(load_classifier(folder)))


def distance(teacher: Path, student: Path, task: Task, examples: list[Example]) -> float:
    """Return the mean KL divergence of the student from the teacher, over labels or candidates."""
    both = [predict(folder, task, examples) for folder in (teacher, student)]
    if task.head == "choice":
        parts = [np.split(predictions.logits[:, 0], predictions.offsets[1:-1]) for predictions in both]
    else:
        parts = [list(predictions.logits) for predictions in both]
    return float(np.mean([_divergence(*pair) for pair in zip(*parts, strict=True)]))


def _divergence(teacher: Any, student: Any) -> float:
    expected, actual = (logits - np.log(np.sum(np.exp(logits))) for logits in (teacher, student))
    return float(np.sum(np.exp(expected) * (expected - actual)))


def weights_of(folder: Path) -> dict[str, Any]:
    from safetensors.numpy import load_file

    weights: dict[str, Any] = load_file(folder / "model.safetensors")
    return weights


def recipes_in(root: Path) -> list[str]:
    return [artifact.manifest["recipe"] for artifact in ArtifactCache(root).artifacts()]


def same_weights(first: Path, second: Path) -> bool:
    weights, others = weights_of(first), weights_of(second)
    return weights.keys() == others.keys() and all(
        np.array_equal(weights[name], others[name]) for name in weights
    )


@pytest.mark.parametrize(("name", "count"), [("boolq", 32), ("copa", 32), ("wic", 32), ("multirc", 6)])
def test_a_student_approaches_a_teacher_of_its_own_shape(name: str, count: int, tmp_path: Path) -> None:
    """For labels, choices, spans, several sequences a request; the student starts with other weights."""
    task = get_task(name)
    examples = tiny.task_examples(task, count)
    teacher = tiny.checkpoint_of(tiny.task_checkpoint(tmp_path / "teacher", task, seed=1))
    before = tiny.task_checkpoint(tmp_path / "student", task, seed=2, **NO_DROPOUT)
    result = distil(LONGER, teacher, tmp_path / "cache", task, examples)
    assert result.checkpoint.trained
    start = distance(teacher.folder, before, task, examples)
    assert distance(teacher.folder, result.checkpoint.folder, task, examples) < 0.2 * start


def test_teacher_and_student_use_their_own_tokenizers(
    teacher: Checkpoint, student: Path, tmp_path: Path
) -> None:
    """The student's ids are the teacher's in reverse, and its answers still approach the teacher's."""
    definition = json.loads((student / "tokenizer.json").read_text())
    last = len(tiny.vocabulary()) - 1
    vocabulary = definition["model"]["vocab"]
    definition["model"]["vocab"] = {
        word: place if word in tiny.SPECIAL else last - place + len(tiny.SPECIAL)
        for word, place in vocabulary.items()
    }
    (student / "tokenizer.json").write_text(json.dumps(definition))
    examples = tiny.examples(64)
    result = distil(LONGER, teacher, tmp_path / "cache", examples=examples)
    expected = predict(teacher.folder, BOOLQ, examples).logits
    indifferent = float(np.mean([_divergence(row, np.zeros(2)) for row in expected]))
    assert distance(teacher.folder, result.checkpoint.folder, BOOLQ, examples) < 0.5 * indifferent
    with pytest.raises(UsageError, match=r"different tokenizers(.|\n)*Set hidden to 0"):
        distil(replace(QUICK, hidden=1.0), teacher, tmp_path / "cache")


@pytest.mark.usefixtures("student")
def test_the_teacher_runs_once(teacher: Checkpoint, tmp_path: Path) -> None:
    """A second seed finds its logits, the same recipe finds everything; manifests contain no path."""
    root = tmp_path / "cache"
    first = distil(QUICK, teacher, root)
    kept = {artifact.key for artifact in ArtifactCache(root).artifacts()}
    logits = first.artifact.manifest["teacher_logits"][0]["key"]
    assert kept == {logits, first.artifact.key}
    other = distil(replace(QUICK, seed=1), teacher, root)
    assert {artifact.key for artifact in ArtifactCache(root).artifacts()} == {*kept, other.artifact.key}
    assert other.artifact.manifest["teacher_logits"][0]["key"] == logits
    assert not same_weights(first.checkpoint.folder, other.checkpoint.folder)
    again = distil(QUICK, teacher, root)
    assert (again.artifact.fresh, again.checkpoint) == (False, first.checkpoint)
    assert first.artifact.fresh
    assert str(tmp_path) not in (first.artifact.folder / "manifest.json").read_text()
    assert list((root / "working").glob("*/")) == []


@pytest.mark.usefixtures("student")
def test_the_manifest_has_the_student_s_score_on_the_held_out_part(
    teacher: Checkpoint, tmp_path: Path
) -> None:
    """64 examples, 10 % (7) held out, with the teacher's score; the kept epoch is the best."""
    manifest = distil(QUICK, teacher, tmp_path / "cache").artifact.manifest
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
def test_a_resumed_distillation_ends_with_the_same_weights(teacher: Checkpoint, tmp_path: Path) -> None:
    """After a kill at three quarters, only logits are in the cache; resuming gives the weights of one run.

    With logits only, and with hidden states and attention too: both are killed in forks of one process, which
    loads PyTorch once.
    """
    code = (
        "import os, signal, sys, test_recipe as t\n"
        "from dataclasses import replace\n"
        "from pathlib import Path\n"
        "import baselines.training.trainer, torch; torch.set_num_threads(1)\n"
        "def report(self, phase, fraction, seconds_left=None):\n"
        "    self._save_seconds()\n"
        "    if phase == 'distil' and fraction > 0.7: os.kill(os.getpid(), signal.SIGKILL)\n"
        "t.TrainingSession.report = report\n"
        "teacher = t.tiny.checkpoint_of(Path(sys.argv[1]))\n"
        "for share in t.FEATURES:\n"
        "    recipe = replace(t.QUICK, hidden=share, attention=share)\n"
        "    child = os.fork()\n"
        "    if not child:\n"
        "        t.distil(recipe, teacher, Path(sys.argv[2]) / f'cache{share}')\n"
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
        assert recipes_in(root) == ["teacher-logits"]
        recipe = replace(QUICK, hidden=share, attention=share)
        resumed = distil(recipe, teacher, root)
        assert resumed.artifact.manifest["session_steps"] == [8, 16]
        assert "interrupted" in resumed.artifact.manifest["energy"]
        whole = distil(recipe, teacher, tmp_path / f"other-cache{share}")
        assert same_weights(resumed.checkpoint.folder, whole.checkpoint.folder)
        assert whole.artifact.key == resumed.artifact.key
        assert list((root / "working").glob("*/")) == []


@pytest.mark.usefixtures("student")
def test_a_resumed_teacher_computes_no_logits_twice(
    teacher: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 64 examples those of finished parts are kept, the others are computed; the logits are the same."""
    from baselines.training import trainer

    class StopError(Exception):
        pass

    def stop(_: TrainingSession, phase: str, fraction: float, __: float | None = None) -> None:
        if phase == "teacher" and fraction > 0.7:
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
        patch.setattr(TrainingSession, "report", stop)
        with pytest.raises(StopError):
            distil(QUICK, teacher, tmp_path / "cache")
    first = sum(rows)
    assert 32 < first < 64
    assert ArtifactCache(tmp_path / "cache").artifacts() == []
    monkeypatch.setattr(trainer, "run", lambda *_: 1 / 0)
    for name, left in (("cache", 64 - first), ("other", 64)):
        rows.clear()
        with pytest.raises(ZeroDivisionError):
            distil(QUICK, teacher, tmp_path / name)
        assert sum(rows) == left
    resumed, whole = (
        np.load(ArtifactCache(tmp_path / name).artifacts()[0].folder / "logits.npy")
        for name in ("cache", "other")
    )
    np.testing.assert_array_equal(resumed, whole)


def test_progress_is_one_short_line_at_most_once_a_second(tmp_path: Path) -> None:
    """Half of the work in ten seconds leaves about ten; 0.4 s later no line is printed."""
    lines: list[str] = []
    times = iter([0.0, 10.0, 10.0, 10.4, 11.5, 11.5])
    session = TrainingSession(tmp_path, lines.append, lambda: next(times))
    session.report("distil", 0.5)
    session.report("distil", 0.6)
    session.report("distil", 0.75, 4.0)
    assert lines == ["distil 50 %, about 10 s left", "distil 75 %, about 4 s left"]
    assert TrainingSession(tmp_path, lines.append, lambda: 100.0).seconds == 11.5


@pytest.mark.usefixtures("student")
def test_feature_losses_fall_and_leave_no_projection(teacher: Checkpoint, tmp_path: Path) -> None:
    """A student half as wide: the loss falls, and the checkpoint has the same tensors as without features."""
    with_states = distil(replace(LONGER, hidden=1.0, attention=1.0), teacher, tmp_path / "cache")
    losses = [loss for _, loss in with_states.artifact.manifest["loss"]]
    assert losses[-1] < 0.8 * losses[0]
    plain = distil(replace(QUICK, epochs=1), teacher, tmp_path / "cache")
    assert weights_of(with_states.checkpoint.folder).keys() == weights_of(plain.checkpoint.folder).keys()
    assert read_config(with_states.checkpoint.folder)["hidden_size"] == 16


def test_a_student_of_layers_of_the_teacher_starts_with_their_weights_and_head(
    teacher: Checkpoint, tmp_path: Path
) -> None:
    """Layer 1 of 2 keeps its weights, up to one very small step; its activation is replaced."""
    small_step = replace(QUICK, student="layers:1", learning_rate=1e-9, epochs=1, hidden_act="relu")
    folder = distil(small_step, teacher, tmp_path / "cache").checkpoint.folder
    before, after = weights_of(teacher.folder), weights_of(folder)
    for name in ("attention.self.query.weight", "output.dense.weight"):
        np.testing.assert_allclose(
            after[f"bert.encoder.layer.0.{name}"], before[f"bert.encoder.layer.1.{name}"], atol=1e-5
        )
    np.testing.assert_allclose(after["classifier.weight"], before["classifier.weight"], atol=1e-5)
    config = read_config(folder)
    assert (config["num_hidden_layers"], config["hidden_act"]) == (1, "relu")
    assert load_classifier(folder).config.hidden_act == "relu"
    half = distil(replace(small_step, student="layers:half"), teacher, tmp_path / "cache")
    assert half.artifact.manifest["parameters"]["layers"] == [0]


def test_the_model_is_the_teacher_of_its_pruned_copy(teacher: Checkpoint, tmp_path: Path) -> None:
    """One of two heads and half of the units are left; features are distilled from the first to the last."""
    from baselines.models.resize import layers_of, narrow
    from baselines.training.trainer import save

    model = load_classifier(teacher.folder)
    narrow(model, [[0], [1]], [range(32), range(32)])
    save(model, tmp_path / "pruned")
    shutil.copy(teacher.folder / "tokenizer.json", tmp_path / "pruned")
    examples = tiny.examples(64)
    sources = PreparationSources(teacher, training=lambda: examples, training_sha256="d")
    recipe = replace(LONGER, student="last", hidden=0.1, attention=0.1, hidden_act="relu")
    chain = [teacher, tiny.checkpoint_of(tmp_path / "pruned")]
    folder = recipe.apply(BOOLQ, chain, sources, tiny.SHORT, context(tmp_path / "cache")).checkpoint.folder
    assert [layer.heads for layer in layers_of(load_classifier(folder))] == [1, 1]
    start = distance(teacher.folder, tmp_path / "pruned", BOOLQ, examples)
    assert distance(teacher.folder, folder, BOOLQ, examples) < 0.5 * start


def test_labels_may_be_in_another_order_than_the_teachers(teacher: Checkpoint, tmp_path: Path) -> None:
    """The student's column 0 is true, the teacher's false; logits are matched by label."""
    tiny.tiny_checkpoint(tmp_path / "student", labels=("true", "false"), seed=3)
    examples = tiny.examples(64)
    start = distance(teacher.folder, tmp_path / "student", BOOLQ, examples)
    result = distil(LONGER, teacher, tmp_path / "cache", examples=examples)
    assert result.artifact.manifest["labels"] == ["true", "false"]
    assert distance(teacher.folder, result.checkpoint.folder, BOOLQ, examples) < 0.5 * start


def write_lines(path: Path, rows: list[Mapping[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.mark.usefixtures("student")
def test_extra_texts_have_no_labels_and_are_identified_by_content(
    teacher: Checkpoint, tmp_path: Path
) -> None:
    """A copy of the file gives the same artifact, other content another; held-out texts stay held out."""
    rows = [
        {"idx": index, "passage": " ".join(tiny.WORDS[index:]), "question": "is it"} for index in range(8)
    ]
    root = tmp_path / "cache"
    extra = write_lines(tmp_path / "one.jsonl", rows)
    first = distil(replace(QUICK, extra_text=extra), teacher, root)
    assert first.artifact.manifest["examples"]["extra"] == 8
    # 57 of train and 8 more, in batches of 8, none of them held out by its text: 9 steps an epoch
    assert first.artifact.manifest["steps"] == 18
    moved = distil(replace(QUICK, extra_text=write_lines(tmp_path / "two.jsonl", rows)), teacher, root)
    assert (moved.artifact.key, moved.artifact.fresh) == (first.artifact.key, False)
    fewer = distil(replace(QUICK, extra_text=write_lines(tmp_path / "three.jsonl", rows[1:])), teacher, root)
    assert fewer.artifact.key != first.artifact.key
    assert len({first.artifact.key, distil(QUICK, teacher, root).artifact.key}) == 2
    with pytest.raises(DataError, match="no such file: extra_text"):
        distil(replace(QUICK, extra_text=str(tmp_path / "none.jsonl")), teacher, root)


@pytest.mark.parametrize("source", ["training split", "extra_text"])
def test_no_student_is_trained_on_the_reported_texts(
    teacher: Checkpoint, tmp_path: Path, source: str
) -> None:
    """Neither as training data nor as extra text; they are identified by their content."""
    tiny.tiny_checkpoint(tmp_path / "student", head=False)
    extra = write_lines(tmp_path / "val.jsonl", [{"idx": 0, "passage": "the lake", "question": "is it"}])
    reported = {"training split": "d", "extra_text": file_sha256(Path(extra))}[source]
    sources = PreparationSources(
        teacher,
        training=lambda: tiny.examples(8),
        training_sha256="d",
        reported_sha256=reported,
        resolve=lambda name: tiny.checkpoint_of(tmp_path / name),
    )
    with pytest.raises(
        DataError, match=f"{source} is the file that is reported, so the student must not be trained on it"
    ):
        replace(QUICK, extra_text=extra).apply(
            BOOLQ, [teacher], sources, tiny.SHORT, context(tmp_path / "cache")
        )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", 0.0), ("temperature", float("nan")), ("hard_label", 1.5), ("hidden", -1.0),
        ("attention", float("inf")), ("epochs", 0), ("learning_rate", 0.0), ("batch", 0), ("max_length", 0),
        ("seed", -1), ("teacher", "second"), ("student", ""), ("patience", -1), ("average", 1.0),
        ("quantization_aware", "yes"),
    ],
)  # fmt: skip
def test_impossible_parameters_are_refused_by_name(
    teacher: Checkpoint, tmp_path: Path, name: str, value: Any
) -> None:
    """Before anything is read or written."""
    with pytest.raises(UsageError, match=rf"distil: {name} cannot be"):
        distil(replace(QUICK, **{name: value}), teacher, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (Distil("last"), "student and teacher are the same checkpoint"),
        (Distil("layers:2"), "0 to 1, each once and in order; got 'layers:2'"),
        (Distil("layers:1,0"), "got 'layers:1,0'"),
        (Distil("layers:x"), "got 'layers:x'"),
        (Distil("last", teacher="previous"), "no checkpoint before its first"),
        (Distil("layers:half", hidden_act="loud"), "unknown activation: hidden_act 'loud'"),
    ],
)
def test_impossible_students_are_refused(
    teacher: Checkpoint, tmp_path: Path, recipe: Distil, message: str
) -> None:
    """With the reason, and without an artifact."""
    with pytest.raises(UsageError, match=message):
        distil(recipe, teacher, tmp_path / "cache")
    assert ArtifactCache(tmp_path / "cache").artifacts() == []


@pytest.mark.usefixtures("student")
def test_teachers_and_students_of_another_task_are_refused(teacher: Checkpoint, tmp_path: Path) -> None:
    """By untrained weights, by the labels of the head, and by the task in the folder's training.json."""
    root = tmp_path / "cache"
    with pytest.raises(CheckpointError, match=r"teacher must be fine-tuned(.|\n)*bench train --task boolq"):
        distil(QUICK, replace(teacher, trained=False), root)
    other = tiny.tiny_checkpoint(tmp_path / "other", labels=("yes", "no", "maybe"))
    with pytest.raises(CheckpointError, match="its labels are yes, no, maybe"):
        distil(QUICK, tiny.checkpoint_of(other), root)
    with pytest.raises(CheckpointError, match="student cannot learn boolq: its labels are yes, no, maybe"):
        distil(replace(QUICK, student="other"), teacher, root)
    wic = tiny.tiny_checkpoint(tmp_path / "wic")
    (wic / "training.json").write_text(json.dumps({"task": "wic"}))
    broken = tiny.tiny_checkpoint(tmp_path / "broken")
    (broken / "training.json").write_text('{"task": ')  # a copy that was cut short
    with pytest.raises(
        CheckpointError, match=r"training\.json cannot be read(.|\n)*Copy the checkpoint again"
    ):
        distil(QUICK, tiny.checkpoint_of(broken), root)
    with pytest.raises(CheckpointError, match="trained for wic, not for boolq"):
        distil(QUICK, tiny.checkpoint_of(wic), root)


@pytest.mark.usefixtures("student")
def test_a_diverging_loss_leaves_nothing_in_the_cache(teacher: Checkpoint, tmp_path: Path) -> None:
    """A weight of 1e38 makes the loss infinite."""
    with pytest.raises(MeasurementError, match="diverged"):
        distil(replace(QUICK, hidden=1e38, epochs=1), teacher, tmp_path / "cache")
    assert recipes_in(tmp_path / "cache") == ["teacher-logits"]


@pytest.mark.usefixtures("student")
def test_distillation_needs_training_examples(teacher: Checkpoint, tmp_path: Path) -> None:
    """The diagnostics have no training split."""
    with pytest.raises(UsageError, match="no training examples"):
        distil(QUICK, teacher, tmp_path / "cache", examples=[])

"""Fine-tuning learns, keeps the best epoch by examples of its own, and survives being killed."""

import json
import os
import signal
import subprocess
import sys
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from hypothesis import given, settings
from hypothesis import strategies as st
from other_families import family_checkpoint

from baselines.checkpoints.folder import read_config
from baselines.encoding.batching import pad
from baselines.encoding.tokenizer import TextEncoder
from baselines.engines.pytorch import VARIANTS
from baselines.models.checks.comparison import compare_with_library
from baselines.models.classifier import tensors_of
from baselines.models.resolve import resolve_classifier
from baselines.training.datasets import (
    EncodedExamples,
    TrainingProgress,
    TrainingSettings,
    split_for_selection,
    training_items,
)
from baselines.training.finetune import finetune
from baselines.training.objective import LabelObjective
from harness.common.errors import CheckpointError, DeviceError, MeasurementError, UsageError
from harness.workload.tasks.example import Example, TextInput
from harness.workload.tasks.superglue.boolq import BOOLQ

QUICK = TrainingSettings(epochs=2, batch=8, max_length=32, bf16=False)


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    """Make an encoder without a head."""
    return tiny.tiny_checkpoint(tmp_path / "encoder", head=False, spread=0.1)


def train(folder: Path, output: Path, **options: Any) -> dict[str, Any]:
    import torch

    torch.set_num_threads(1)
    examples = options.pop("examples", tiny.examples(48))
    options = {"tuning": QUICK, "data_fingerprint": "d", **options}
    return finetune(BOOLQ, examples, examples[:6], tiny.checkpoint_of(folder), output, **options)


def weights_of(folder: Path) -> dict[str, Any]:
    from safetensors.numpy import load_file

    weights: dict[str, Any] = load_file(folder / "model.safetensors")
    return weights


def separable(size: int) -> list[Example]:
    """Make examples that are true exactly where the passage contains `frozen`."""
    vocabulary = tiny.WORDS[5:]
    random = np.random.default_rng(1)
    examples = []
    for number in range(size):
        passage = [str(token) for token in random.choice(vocabulary, 6)]
        if number % 2:
            passage[int(random.integers(6))] = "frozen"
        label = "true" if number % 2 else "false"
        examples.append(Example(str(number), (TextInput(" ".join(passage), "is it"),), (label,)))
    return examples


def test_training_learns_and_the_result_can_be_run(encoder: Path, tmp_path: Path) -> None:
    """A rule that one word decides is learned, and the folder answers as a checkpoint of the task."""
    examples = separable(400)
    output = tmp_path / "made"
    tuning = TrainingSettings(epochs=6, batch=8, learning_rate=2e-3, max_length=16, bf16=False)
    record = train(encoder, output, examples=examples, tuning=tuning)
    assert record["selection"][-1][1] > 0.9
    checkpoint = resolve_classifier(str(output), BOOLQ, tiny.Shelf(tmp_path / "cache"))
    dynamic = VARIANTS[1]
    sources = tiny.PreparationSources(checkpoint)
    artifact = dynamic.prepare(BOOLQ, sources, tiny.SHORT, tiny.preparation_context(tmp_path / "cache"))
    system = dynamic.load(BOOLQ, artifact, tiny.CPU, tiny.SHORT)
    predictions = system.predict(system.encode(examples))
    answers = BOOLQ.decide(predictions.logits, predictions.offsets)
    right = [answer == example.gold[0] for answer, example in zip(answers, examples, strict=True)]
    assert sum(right) / len(right) > 0.9


def test_the_folder_records_how_it_was_made(
    encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Settings, data, steps, losses, scores and energy; nothing is printed or left elsewhere."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    ticks: list[TrainingProgress] = []
    record = train(encoder, tmp_path / "made", progress=ticks.append, energy=lambda: {"microjoules": 5})
    assert json.loads((tmp_path / "made" / "training.json").read_text()) == json.loads(json.dumps(record))
    # 48 examples, 10 % (5) held out, 43 in batches of 8: 6 steps an epoch
    assert record["examples"] == {"trained_on": 43, "held_out": 5, "val": 6}
    assert (record["steps"], record["session_steps"]) == (12, [0, 12])
    assert record["kept_step"] in (6, 12)
    assert [epoch for epoch, _ in record["selection"]] == [1.0, 2.0]
    assert record["energy"] == {"microjoules": 5}
    assert record["data_fingerprint"] == "d"
    steps, scorings = [tick for tick in ticks if not tick.scoring], [tick for tick in ticks if tick.scoring]
    assert [tick.fraction for tick in steps] == pytest.approx([step / 12 for step in range(1, 13)])
    assert steps[-1].seconds_left == 0.0
    assert [tick.epoch for tick in scorings] == [1.0, 2.0]
    assert list(work.iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["encoder", "made", "work"]
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == [
        "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "training.json",
        "vocab.txt",
    ]  # fmt: skip
    assert capfd.readouterr() == ("", "")


def test_a_killed_training_goes_on_as_if_nothing_had_happened(encoder: Path, tmp_path: Path) -> None:
    """Killed at step 9 of 12, it resumes, and the weights are bit for bit those of a run in one go."""
    code = (
        "import os, signal, sys, tiny, torch\n"
        "from pathlib import Path\n"
        "from baselines.training.datasets import TrainingSettings\n"
        "from baselines.training.finetune import *\n"
        "from harness.workload.tasks.superglue.boolq import BOOLQ\n"
        "torch.set_num_threads(1)\n"
        "def kill(tick):\n"
        "    if tick.fraction > 0.7: os.kill(os.getpid(), signal.SIGKILL)\n"
        "examples = tiny.examples(48)\n"
        "finetune(BOOLQ, examples, examples[:6], tiny.checkpoint_of(Path(sys.argv[1])), Path(sys.argv[2]),\n"
        "    tuning=TrainingSettings(epochs=2, batch=8, max_length=32, bf16=False),\n"
        "    data_fingerprint='d', progress=kill)\n"
    )
    cut = tmp_path / "cut"
    path = os.pathsep.join(filter(None, [str(Path(tiny.__file__).parent), *sys.path]))
    done = subprocess.run(
        [sys.executable, "-c", code, str(encoder), str(cut)],
        env={**os.environ, "PYTHONPATH": path},
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    assert not cut.exists()
    # a second cut, while the checkpoint of a later step was being written
    (tmp_path / "cut.part" / "checkpoint-10").mkdir()
    resumed = train(encoder, cut)
    assert resumed["session_steps"] == [6, 12]
    train(encoder, tmp_path / "whole")
    interrupted, uninterrupted = weights_of(cut), weights_of(tmp_path / "whole")
    assert all(np.array_equal(interrupted[name], uninterrupted[name]) for name in uninterrupted)
    assert not (tmp_path / "cut.part").exists()


def test_checkpoints_are_at_most_ten_minutes_apart(encoder: Path, tmp_path: Path) -> None:
    """With a clock that moves 400 seconds a reading, every second step saves in the middle of an epoch."""
    names: set[str] = set()
    ticking = count(step=400)

    def look(_: TrainingProgress) -> None:
        names.update(path.name for path in (tmp_path / "made.part").glob("checkpoint-*"))

    train(encoder, tmp_path / "made", progress=look, clock=lambda: float(next(ticking)))
    assert {"checkpoint-2", "checkpoint-4", "checkpoint-6"} <= names


def test_a_training_may_be_given_no_more_than_so_much_time(encoder: Path, tmp_path: Path) -> None:
    """With a clock that moves a second a reading it ends early, and records the planned steps."""
    ticking = count()
    record = train(encoder, tmp_path / "made", clock=lambda: float(next(ticking)), at_most_s=4.0)
    assert 0 < record["steps"] < record["steps_planned"] == 12
    assert len(record["selection"]) == 1
    assert (tmp_path / "made" / "model.safetensors").is_file()


def test_other_settings_do_not_go_on_with_an_interrupted_training(encoder: Path, tmp_path: Path) -> None:
    """They are refused, unless resuming is not wanted: then the old work is dropped."""

    class StopError(Exception):
        pass

    def stop(_: TrainingProgress) -> None:
        raise StopError

    output = tmp_path / "made"
    with pytest.raises(StopError):
        train(encoder, output, progress=stop)
    other = TrainingSettings(epochs=1, batch=8, max_length=32, bf16=False)
    with pytest.raises(
        UsageError, match=r"another training was interrupted in this folder: epochs was 2, now 1\."
    ):
        train(encoder, output, tuning=other)
    (output.with_name("made.part") / "plan.json").write_text("{", encoding="utf-8")  # a disk was full
    with pytest.raises(UsageError, match="its plan cannot be read"):
        train(encoder, output, tuning=other)
    assert train(encoder, output, tuning=other, resume=False)["steps"] == 6


@pytest.mark.parametrize("resume", [True, False])
def test_two_trainings_do_not_share_a_folder(encoder: Path, tmp_path: Path, resume: bool) -> None:
    """The second is refused while the first works, and nothing of the first is removed."""
    output, refused = tmp_path / "made", []

    def start_another(_: TrainingProgress) -> None:
        if not refused:
            with pytest.raises(UsageError, match="another training works in it") as problem:
                train(encoder, output, resume=resume)
            refused.append(problem)

    assert train(encoder, output, progress=start_another)["steps"] == 12
    assert refused


def test_an_output_that_exists_is_never_written_over(encoder: Path, tmp_path: Path) -> None:
    """Not even by a file that happens to lie there."""
    output = tmp_path / "made"
    output.mkdir()
    (output / "precious").touch()
    with pytest.raises(UsageError, match="exists already and is not an empty folder"):
        train(encoder, output)


def test_a_loss_that_is_not_finite_stops_training(encoder: Path, tmp_path: Path) -> None:
    """The message names the step and what to change; there is no output."""
    wild = TrainingSettings(epochs=3, batch=8, learning_rate=1e30, max_length=32, bf16=False, clip=1e30)
    with pytest.raises(MeasurementError, match=r"diverged(.|\n)*Lower the learning rate"):
        train(encoder, tmp_path / "made", tuning=wild)
    assert not (tmp_path / "made").exists()


def test_weights_that_are_not_numbers_are_refused_before_training(encoder: Path, tmp_path: Path) -> None:
    """No learning rate helps: the message names the tensor of the checkpoint."""
    folder = tiny.with_weight(encoder, tmp_path / "diverged", "embeddings.word_embeddings.weight", np.nan)
    with pytest.raises(CheckpointError, match=r"not finite numbers.*word_embeddings\.weight"):
        train(folder, tmp_path / "made")
    assert not (tmp_path / "made").exists()


def test_what_cannot_be_padded_cannot_be_trained_either(tmp_path: Path) -> None:
    """GPT-2 without a padding id: the same rule and remedy as for measuring it."""
    folder = family_checkpoint(tmp_path / "gpt2", "gpt2", padding_token=None)
    with pytest.raises(CheckpointError, match=r"padding gives wrong answers(.|\n)*Set pad_token_id"):
        train(folder, tmp_path / "made")
    assert [path.name for path in tmp_path.iterdir()] == ["gpt2"], "the mended model can be trained there"


@pytest.mark.parametrize("family", ["bart", "gpt2"])
def test_a_family_that_can_be_trained_can_be_run(tmp_path: Path, family: str) -> None:
    """BART's head is called classification_head: what `bench train` writes, `bench run` reads."""
    folder = family_checkpoint(tmp_path / family, family, labels=("a", "b", "c"), pad_token_id=0)
    quick = TrainingSettings(epochs=1, batch=8, max_length=32, bf16=False)
    train(folder, tmp_path / "made", tuning=quick)
    checkpoint = resolve_classifier(str(tmp_path / "made"), BOOLQ, tiny.Shelf(tmp_path / "cache"))
    assert compare_with_library(checkpoint.folder, family, tiny.examples(4), 32)["texts"] == 4


def test_a_head_for_regression_becomes_one_for_labels(tmp_path: Path) -> None:
    """problem_type goes with the old head, or the trained model would be refused as regression."""
    folder = tiny.tiny_checkpoint(tmp_path / "regression", labels=("score",), problem_type="regression")
    train(folder, tmp_path / "made")
    assert resolve_classifier(str(tmp_path / "made"), BOOLQ, tiny.Shelf(tmp_path / "cache")).trained


def test_a_head_in_another_order_keeps_its_order_and_meaning(tmp_path: Path) -> None:
    """Warm starts: columns stay where their weights are, and labels go to them by name."""
    folder = tiny.tiny_checkpoint(tmp_path / "headed", labels=("true", "false"))
    gentle = TrainingSettings(epochs=1, batch=8, learning_rate=1e-8, max_length=32, bf16=False)
    record = train(folder, tmp_path / "made", tuning=gentle)
    assert record["labels"] == ["true", "false"]
    before, after = weights_of(folder), weights_of(tmp_path / "made")
    np.testing.assert_allclose(after["classifier.weight"], before["classifier.weight"], atol=1e-4)


@given(
    texts=st.lists(st.text(max_size=3), min_size=2, max_size=40),
    seed=st.integers(0, 5),
)
@settings(max_examples=40, deadline=None)
def test_what_chooses_the_epoch_is_never_trained_on(texts: list[str], seed: int) -> None:
    """The two parts cover the split once, and at most one first text is on both sides."""
    examples = [Example(str(number), (TextInput(text),)) for number, text in enumerate(texts)]
    kept, held_out = split_for_selection(examples, seed)
    assert sorted([*kept, *held_out], key=lambda example: int(example.id)) == examples
    assert kept
    assert held_out
    shared = {example.inputs[0].first for example in kept} & {example.inputs[0].first for example in held_out}
    assert len(shared) <= 1
    # a tenth, rounded up
    assert len(held_out) == -(-len(texts) // 10)


def test_a_device_that_is_not_there_is_refused_before_anything_is_written(
    encoder: Path, tmp_path: Path
) -> None:
    """No folder of work in progress is left behind."""
    with pytest.raises(DeviceError, match="cuda:7"):
        train(encoder, tmp_path / "made", device="cuda:7")
    assert [path.name for path in tmp_path.iterdir()] == ["encoder"]


def test_an_example_without_a_label_is_named(encoder: Path, tmp_path: Path) -> None:
    """Training on a split with hidden labels is a mistake, not a silent skip."""
    unlabelled = [*tiny.examples(4), Example("77", (TextInput("the lake", "is it"),))]
    with pytest.raises(UsageError, match="example 77"):
        train(encoder, tmp_path / "made", examples=unlabelled)


def test_training_replaces_the_kind_of_problem_of_the_checkpoint_it_starts_from(tmp_path: Path) -> None:
    """A multi-label checkpoint that learns one label per example is no multi-label checkpoint afterwards."""
    folder = tiny.tiny_checkpoint(tmp_path / "several", problem_type="multi_label_classification")
    train(folder, tmp_path / "made")
    checkpoint = resolve_classifier(str(tmp_path / "made"), BOOLQ, tiny.Shelf(tmp_path / "cache"))
    assert read_config(checkpoint.folder).get("problem_type") is None


def labelled_by_words(size: int) -> list[Example]:
    """Make examples of which each label holds exactly where the passage contains its word."""
    words = ("lake", "winter", "people")
    random = np.random.default_rng(1)
    examples = []
    for number in range(size):
        digits = "".join(str(int(random.random() < 0.4)) for _ in words)
        passage = ["a", "is", *(word for word, digit in zip(words, digits, strict=True) if digit == "1")]
        text = TextInput(" ".join(str(token) for token in random.permutation(passage)), f"in {number}")
        examples.append(Example(str(number), (text,), (digits,)))
    return examples


def test_training_for_any_number_of_labels_learns_each_by_itself(encoder: Path, tmp_path: Path) -> None:
    """The checkpoint is one that transformers takes for multi-label; the best threshold is in the record."""
    import torch

    torch.set_num_threads(1)
    task, examples, output = tiny.multi_label_task(), labelled_by_words(300), tmp_path / "made"
    tuning = TrainingSettings(epochs=6, batch=8, learning_rate=3e-3, max_length=16, bf16=False)
    record = finetune(task, examples, examples[:50], tiny.checkpoint_of(encoder), output, tuning=tuning)
    assert record["val"]["micro_f1"] > 0.9
    assert record["selection"][-1][1] > 0.9
    assert read_config(output)["problem_type"] == "multi_label_classification"
    assert resolve_classifier(str(output), task, tiny.Shelf(tmp_path / "cache")).trained
    calibration = record["threshold_calibration"]
    assert (calibration["metric"], calibration["examples"]) == ("micro_f1", 30)
    assert calibration["score"] >= calibration["score_at_half"] > 0.9
    assert json.loads((output / "training.json").read_text())["threshold_calibration"] == calibration


def test_the_loss_of_any_number_of_labels_is_that_of_transformers(tmp_path: Path) -> None:
    """Targets are in the order of the checkpoint's columns, which is not the task's."""
    import torch
    from transformers import AutoModelForSequenceClassification

    folder = tiny.multi_label_checkpoint(tmp_path / "several", ("winter", "people", "lake"))
    task, examples = tiny.multi_label_task(), tiny.examples(3, gold=("101", "000", "011"))
    requests = TextEncoder(folder, 32).encode(examples)
    items = training_items(task, [2, 0, 1], EncodedExamples(examples, requests))
    assert [item.targets for item in items] == [(0, 1, 1), (0, 0, 0), (1, 1, 0)]
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    objective = LabelObjective("multi_label")
    padded = pad([sequence for item in items for sequence in item.sequences], 0)
    inputs = tensors_of(padded, ("input_ids", "attention_mask", "token_type_ids"))
    labels = torch.tensor([item.targets for item in items], dtype=torch.float32)
    with torch.inference_mode():
        expected = float(model(**inputs, labels=labels).loss)
        loss = float(objective.loss(model, {**inputs, **objective.targets(items)}))
    assert loss == pytest.approx(expected)

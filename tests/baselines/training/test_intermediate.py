"""Intermediate training is made once, and its head becomes that of the task by the names of the labels."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tiny
import torch

from baselines.models.classifier import load_classifier
from baselines.training.datasets import TrainingItem, TrainingSettings
from baselines.training.finetune import finetune
from baselines.training.intermediate import train_intermediate
from baselines.training.label_transfer import output_layer
from baselines.training.objective import AcceptedLabelsObjective, LabelObjective
from harness.workload.tasks.example import Example, TextInput
from harness.workload.tasks.intermediate import intermediate_task
from harness.workload.tasks.superglue.boolq import BOOLQ
from harness.workload.tasks.superglue.rte import RTE

QUICK = TrainingSettings(epochs=1, batch=8, max_length=16, bf16=False)
THREE = intermediate_task(("contradiction", "entailment", "neutral"))


def examples(size: int, *golds: tuple[str, ...]) -> list[Example]:
    return [
        Example(str(number), (TextInput(f"{tiny.WORDS[5 + number % 9]} {number}", "is it"),), gold)
        for number in range(size)
        for gold in [golds[number % len(golds)]]
    ]


def pair_files(fingerprint: str = "p") -> Any:
    rows = examples(24, ("entailment",), ("neutral",), ("contradiction", "neutral"))
    return SimpleNamespace(task=THREE, examples=rows, files=(), fingerprint=fingerprint)


def model(folder: Path) -> Any:
    torch.set_num_threads(1)
    return tiny.checkpoint_of(tiny.tiny_checkpoint(folder, head=False, spread=0.1))


def last_layer(folder: Path) -> tuple[Any, Any]:
    labels = output_layer(load_classifier(folder))
    return labels.weight.detach().numpy(), labels.bias.detach().numpy()


def test_one_intermediate_checkpoint_serves_all_tasks_and_seeds(tmp_path: Path) -> None:
    """The second time nothing is trained; other files or settings are another checkpoint."""
    cache, encoder = tiny.Shelf(tmp_path / "cache"), model(tmp_path / "encoder")
    steps: list[Any] = []
    first = train_intermediate(pair_files(), encoder, cache, tuning=QUICK, progress=steps.append)
    trained = len(steps)
    again = train_intermediate(pair_files(), encoder, cache, tuning=QUICK, progress=steps.append)
    assert trained == len(steps) > 0
    assert first == again
    assert first.facts["labels"] == list(THREE.labels)
    for pairs, tuning in ((pair_files("q"), QUICK), (pair_files(), replace(QUICK, seed=1))):
        other = train_intermediate(pairs, encoder, cache, tuning=tuning)
        assert other.facts["key"] != first.facts["key"]


def test_three_labels_become_two_by_name(tmp_path: Path) -> None:
    """RTE's entailment begins as entailment, its not_entailment as the mean of the other two."""
    cache = tiny.Shelf(tmp_path / "cache")
    first = train_intermediate(pair_files(), model(tmp_path / "encoder"), cache, tuning=QUICK)
    rows = examples(4, ("entailment",), ("not_entailment",))
    untrained = replace(QUICK, epochs=0)
    record = finetune(
        RTE, rows, (), first.checkpoint, tmp_path / "rte", tuning=untrained, first_training=first.facts
    )
    assert record["head_from"] == {
        "entailment": ["entailment"], "not_entailment": ["contradiction", "neutral"],
    }  # fmt: skip
    assert record["first"] == first.facts
    (weight, bias), (old_weight, old_bias) = last_layer(tmp_path / "rte"), last_layer(first.checkpoint.folder)
    columns = {name: number for number, name in enumerate(record["labels"])}
    np.testing.assert_array_equal(weight[columns["entailment"]], old_weight[1])
    negated = columns["not_entailment"]
    np.testing.assert_allclose(weight[negated], (old_weight[0] + old_weight[2]) / 2, rtol=1e-6)
    np.testing.assert_allclose(bias[negated], (old_bias[0] + old_bias[2]) / 2 + np.log(2), rtol=1e-6)


@pytest.mark.parametrize("labels", [("contradiction", "entailment", "neutral"), ("bad", "good")])
def test_a_head_without_names_in_common_begins_anew(tmp_path: Path, labels: tuple[str, ...]) -> None:
    """BoolQ's true and false are no sentiment, although a head of two labels has the shape."""
    cache, task = tiny.Shelf(tmp_path / "cache"), intermediate_task(labels)
    pairs = SimpleNamespace(
        task=task, examples=examples(12, *((label,) for label in labels)), files=(), fingerprint="p"
    )
    first = train_intermediate(pairs, model(tmp_path / "encoder"), cache, tuning=QUICK)
    rows = examples(4, ("true",), ("false",))
    record = finetune(BOOLQ, rows, (), first.checkpoint, tmp_path / "boolq", tuning=replace(QUICK, epochs=0))
    assert record["head_from"].startswith("random, because")
    if len(labels) == 2:
        assert not np.allclose(last_layer(tmp_path / "boolq")[0], last_layer(first.checkpoint.folder)[0])


def test_the_loss_of_accepted_labels_is_cross_entropy_where_one_is_accepted() -> None:
    """With two accepted labels it is minus the log of the sum of their probabilities."""
    logits = torch.tensor([[1.0, 2.0, 0.5], [0.0, -1.0, 3.0]])

    class Fixed(torch.nn.Module):
        def forward(self, **_: Any) -> Any:
            return SimpleNamespace(logits=logits)

    def loss(objective: Any, *targets: tuple[int, ...]) -> float:
        inputs = objective.targets([TrainingItem((), target) for target in targets])
        if "sizes" in inputs:
            inputs["sizes"] = torch.ones(2)
        return float(objective.loss(Fixed(), inputs))

    accepted = AcceptedLabelsObjective()
    assert loss(accepted, (0, 1, 0), (1, 0, 0)) == pytest.approx(loss(LabelObjective("sequence"), (1,), (0,)))
    probabilities = logits.softmax(1)
    expected = -(torch.log(probabilities[0, 0] + probabilities[0, 2]) + torch.log(probabilities[1, 2])) / 2
    assert loss(accepted, (1, 0, 1), (0, 0, 1)) == pytest.approx(float(expected))

"""Importance agrees with derivatives computed in other ways."""

from collections.abc import Sequence
from typing import Any

import encoders
import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from baselines.models import resize
from baselines.training.datasets import TrainingItem
from harness.systems.interface import EncodedSequence
from harness.workload.tasks import get_task
from optimized.recipes.pruning import importance
from optimized.recipes.pruning.importance import Importance, batches, measure_importance

CB, WIC, COPA = get_task("cb"), get_task("wic"), get_task("copa")
every_family = pytest.mark.parametrize("family", encoders.ARCHITECTURES)


def sequence(length: int, seed: int, *, spans: bool = False) -> EncodedSequence:
    random = np.random.default_rng(seed)
    word_spans = ((1, 3), (2, length)) if spans else ()
    return EncodedSequence(random.integers(5, 60, length), np.zeros(length, dtype=np.int64), word_spans)


def items_of(lengths: Sequence[int], labels: int, *, spans: bool = False) -> list[TrainingItem]:
    sequences = [sequence(length, index, spans=spans) for index, length in enumerate(lengths)]
    return [TrainingItem((encoded,), (index % labels,)) for index, encoded in enumerate(sequences)]


def loss_of(model: Any, item: TrainingItem) -> torch.Tensor:
    """Return the cross-entropy of one item, without batching or padding."""
    (encoded,) = item.sequences
    ids = torch.from_numpy(encoded.ids)[None]
    logits = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
    return cross_entropy(logits, torch.tensor(item.targets))


@every_family
def test_a_units_score_is_the_papers_formula(family: str) -> None:
    """|sum of gradient times weight over its row of the first map, and its bias|, summed over examples."""
    model = encoders.model_of(family, CB)
    items = items_of([9, 4, 17], 3)
    expected = np.zeros((encoders.LAYERS, encoders.UNITS))
    for item in items:
        model.zero_grad()
        loss_of(model, item).backward()
        for at, layer in enumerate(resize.layers_of(model)):
            weight, bias = layer.up.weight, layer.up.bias
            expected[at] += ((weight.grad * weight).sum(1) + bias.grad * bias).abs().detach().numpy()
    measured = measure_importance(model, items, "sequence", 0)
    np.testing.assert_allclose(measured.units, expected, rtol=1e-3, atol=1e-6)
    assert (measured.items, measured.tokens) == (3, 30)


@every_family
def test_a_heads_score_is_what_the_loss_changes_by_when_it_is_scaled(family: str) -> None:
    """A central difference: each head's columns of the output map times 1 + e and 1 - e, in float64."""
    model = encoders.model_of(family, CB)
    items = items_of([9, 4], 3)
    measured = measure_importance(model, items, "sequence", 0)
    model.double()
    step = 1e-4
    for at, layer in enumerate(resize.layers_of(model)):
        for head in range(layer.heads):
            columns = slice(head * layer.head_size, (head + 1) * layer.head_size)
            whole = layer.out.weight.detach().clone()
            expected = 0.0
            for item in items:
                losses = []
                for factor in (1 + step, 1 - step):
                    layer.out.weight.data[:, columns] = whole[:, columns] * factor
                    losses.append(float(loss_of(model, item)))
                expected += abs(losses[0] - losses[1]) / (2 * step)
            layer.out.weight.data.copy_(whole)
            assert measured.heads[at][head] == pytest.approx(expected, rel=1e-3, abs=1e-6)


def test_the_widths_score_is_that_of_its_normalisations_weights() -> None:
    """Scaling a component after every layer normalisation scales its weight and its bias in all of them."""
    model = encoders.model_of("bert", CB)
    (item,) = items = items_of([9], 3)
    loss_of(model, item).backward()
    expected = torch.zeros(encoders.HIDDEN)
    for module in model.modules():
        if isinstance(module, torch.nn.LayerNorm):
            expected += module.weight * module.weight.grad + module.bias * module.bias.grad
    dense, _ = resize.pooling_of(model)
    pooled = (dense.weight * dense.weight.grad).sum(1) + dense.bias * dense.bias.grad
    measured = measure_importance(model, items, "sequence", 0)
    np.testing.assert_allclose(measured.width, expected.abs().detach(), rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(measured.pooled, pooled.abs().detach(), rtol=1e-3, atol=1e-6)


def test_with_any_number_of_labels_the_loss_is_that_of_each_label() -> None:
    """The units' scores are the formula's on the binary cross-entropy, not on that of one label."""
    model = encoders.model_of("bert", CB)
    targets = [(1, 0, 1), (0, 0, 0), (1, 1, 1)]
    items = [
        TrainingItem((sequence(length, index),), targets[index]) for index, length in enumerate([9, 4, 17])
    ]
    expected = np.zeros((encoders.LAYERS, encoders.UNITS))
    for item in items:
        model.zero_grad()
        ids = torch.from_numpy(item.sequences[0].ids)[None]
        logits = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
        holds = torch.tensor([item.targets], dtype=torch.float32)
        binary_cross_entropy_with_logits(logits, holds).backward()
        for at, layer in enumerate(resize.layers_of(model)):
            weight, bias = layer.up.weight, layer.up.bias
            expected[at] += ((weight.grad * weight).sum(1) + bias.grad * bias).abs().detach().numpy()
    measured = measure_importance(model, items, "multi_label", 0)
    np.testing.assert_allclose(measured.units, expected, rtol=1e-3, atol=1e-6)


def scores(measured: Importance) -> np.ndarray:
    """Return all scores in a row."""
    rows = (*measured.heads, *measured.units, measured.width, measured.pooled)
    return np.concatenate([np.asarray(row) for row in rows])


@pytest.mark.parametrize("task", [CB, WIC], ids=["sequence", "span"])
def test_scores_are_the_sum_of_each_examples_own(task: Any) -> None:
    """Whatever the batches and their order: no example counts more because it comes early."""
    model = encoders.model_of("bert", task)
    spans = task.head == "span"
    items = items_of([9, 4, 17, 30, 5], len(task.labels), spans=spans)
    alone = sum(scores(measure_importance(model, [item], task.head, 0)) for item in items)
    together = scores(measure_importance(model, items, task.head, 0))
    reversed_order = scores(measure_importance(model, items[::-1], task.head, 0))
    assert (together > 0).all()
    np.testing.assert_allclose(together, alone, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(reversed_order, together, rtol=1e-3, atol=1e-6)


def test_what_helps_one_example_and_harms_another_still_counts() -> None:
    """The same text with both labels: derivatives of opposite sign, each of which counts in full."""
    model = encoders.model_of("bert", CB)
    text = sequence(9, 0)
    items = [TrainingItem((text,), (label,)) for label in (0, 1)]
    both = scores(measure_importance(model, items, "sequence", 0))
    first, second = (scores(measure_importance(model, [item], "sequence", 0)) for item in items)
    np.testing.assert_allclose(both, first + second, rtol=1e-3, atol=1e-6)


def test_a_choice_in_parts_scores_as_it_does_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five candidates, two at a time: they still share one loss."""
    model = encoders.model_of("bert", COPA)
    many = TrainingItem(tuple(sequence(4 + at, at) for at in range(5)), (0, 1, 0, 0, 1))
    items = [many, TrainingItem((sequence(8, 7), sequence(6, 8)), (1, 0))]
    whole = scores(measure_importance(model, items, "choice", 0))
    monkeypatch.setattr(importance, "SEQUENCES_AT_ONCE", 2)
    assert [len(batch) for batch in batches(items)] == [1, 1]
    parts = scores(measure_importance(model, items, "choice", 0))
    assert (whole > 0).all()
    np.testing.assert_allclose(parts, whole, rtol=1e-3, atol=1e-6)


def test_a_choice_without_a_right_candidate_scores_nothing() -> None:
    """As in training, it has no loss."""
    model = encoders.model_of("bert", COPA)
    item = TrainingItem((sequence(4, 0), sequence(5, 1)), (0, 0))
    assert not scores(measure_importance(model, [item], "choice", 0)).any()


def test_a_pass_holds_few_sequences_and_few_tokens() -> None:
    """Sixteen sequences, or fewer where they are long; every item once; similar lengths together."""
    lengths = [300] * 20 + [7] * 40 + [5000]
    passes = list(batches(items_of(lengths, 3)))
    assert [len(batch) for batch in passes] == [1, 13, 13, 16, 16, 2]
    assert sorted(item.tokens for batch in passes for item in batch) == sorted(lengths)
    # padded to 300, 13 are 3,900 tokens and 14 are 4,200, also where short items follow the last 7 long ones
    assert [item.tokens for item in passes[2]] == [300] * 7 + [7] * 6


def test_measuring_changes_nothing() -> None:
    """No hook and no gradient remains: the model answers as before."""
    model = encoders.model_of("bert", CB)
    (item,) = items_of([9], 3)
    before = loss_of(model, item).item()
    fractions: list[float] = []
    measure_importance(model, items_of([9, 4], 3), "sequence", 0, fractions.append)
    assert loss_of(model, item).item() == before
    assert fractions == [1.0]

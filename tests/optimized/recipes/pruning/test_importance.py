"""Importance against derivatives worked out another way."""

from collections.abc import Sequence
from typing import Any

import encoders
import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

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
    found = ((1, 3), (2, length)) if spans else ()
    return EncodedSequence(random.integers(5, 60, length), np.zeros(length, dtype=np.int64), found)


def lessons_of(lengths: Sequence[int], labels: int, *, spans: bool = False) -> list[TrainingItem]:
    made = [sequence(length, at, spans=spans) for at, length in enumerate(lengths)]
    return [TrainingItem((each,), (at % labels,)) for at, each in enumerate(made)]


def loss_of(model: Any, lesson: TrainingItem) -> torch.Tensor:
    """Return one lesson's cross-entropy, without batching or padding."""
    (one,) = lesson.sequences
    ids = torch.from_numpy(one.ids)[None]
    logits = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
    return cross_entropy(logits, torch.tensor(lesson.targets))


@every_family
def test_a_units_score_is_the_papers_formula(family: str) -> None:
    """|sum of gradient times weight over its row of the first map, and its bias|, summed over examples."""
    model = encoders.model_of(family, CB)
    lessons = lessons_of([9, 4, 17], 3)
    wanted = np.zeros((encoders.LAYERS, encoders.UNITS))
    for lesson in lessons:
        model.zero_grad()
        loss_of(model, lesson).backward()
        for at, layer in enumerate(resize.layers_of(model)):
            weight, bias = layer.up.weight, layer.up.bias
            wanted[at] += ((weight.grad * weight).sum(1) + bias.grad * bias).abs().detach().numpy()
    found = measure_importance(model, lessons, "sequence", 0)
    np.testing.assert_allclose(found.units, wanted, rtol=1e-3, atol=1e-6)
    assert (found.lessons, found.tokens) == (3, 30)


@every_family
def test_a_heads_score_is_what_the_loss_changes_by_when_it_is_scaled(family: str) -> None:
    """A central difference: each head's columns of the output map times 1 + e and 1 - e, in float64."""
    model = encoders.model_of(family, CB)
    lessons = lessons_of([9, 4], 3)
    found = measure_importance(model, lessons, "sequence", 0)
    model.double()
    step = 1e-4
    for at, layer in enumerate(resize.layers_of(model)):
        for head in range(layer.heads):
            mine = slice(head * layer.head_size, (head + 1) * layer.head_size)
            whole = layer.out.weight.detach().clone()
            wanted = 0.0
            for lesson in lessons:
                losses = []
                for factor in (1 + step, 1 - step):
                    layer.out.weight.data[:, mine] = whole[:, mine] * factor
                    losses.append(float(loss_of(model, lesson)))
                wanted += abs(losses[0] - losses[1]) / (2 * step)
            layer.out.weight.data.copy_(whole)
            assert found.heads[at][head] == pytest.approx(wanted, rel=1e-3, abs=1e-6)


def test_the_widths_score_is_that_of_its_normalisations_weights() -> None:
    """Scaling a component after every layer normalisation scales its weight and its bias in all of them."""
    model = encoders.model_of("bert", CB)
    (lesson,) = lessons = lessons_of([9], 3)
    loss_of(model, lesson).backward()
    wanted = torch.zeros(encoders.HIDDEN)
    for module in model.modules():
        if isinstance(module, torch.nn.LayerNorm):
            wanted += module.weight * module.weight.grad + module.bias * module.bias.grad
    dense, _ = resize.pooling_of(model)
    pooled = (dense.weight * dense.weight.grad).sum(1) + dense.bias * dense.bias.grad
    found = measure_importance(model, lessons, "sequence", 0)
    np.testing.assert_allclose(found.width, wanted.abs().detach(), rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(found.pooled, pooled.abs().detach(), rtol=1e-3, atol=1e-6)


def scores(found: Importance) -> np.ndarray:
    """Return all scores in a row."""
    rows = (*found.heads, *found.units, found.width, found.pooled)
    return np.concatenate([np.asarray(row) for row in rows])


@pytest.mark.parametrize("task", [CB, WIC], ids=["sequence", "span"])
def test_scores_are_the_sum_of_each_examples_own(task: Any) -> None:
    """However they are batched and ordered: no example weighs more because it came early."""
    model = encoders.model_of("bert", task)
    spans = task.head == "span"
    lessons = lessons_of([9, 4, 17, 30, 5], len(task.labels), spans=spans)
    alone = sum(scores(measure_importance(model, [lesson], task.head, 0)) for lesson in lessons)
    together = scores(measure_importance(model, lessons, task.head, 0))
    turned = scores(measure_importance(model, lessons[::-1], task.head, 0))
    assert (together > 0).all()
    np.testing.assert_allclose(together, alone, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(turned, together, rtol=1e-3, atol=1e-6)


def test_what_helps_one_example_and_harms_another_still_counts() -> None:
    """The same text with both labels: derivatives of opposite sign, of which each counts in full."""
    model = encoders.model_of("bert", CB)
    text = sequence(9, 0)
    one, other = TrainingItem((text,), (0,)), TrainingItem((text,), (1,))
    both = scores(measure_importance(model, [one, other], "sequence", 0))
    each = [scores(measure_importance(model, [lesson], "sequence", 0)) for lesson in (one, other)]
    np.testing.assert_allclose(both, each[0] + each[1], rtol=1e-3, atol=1e-6)


def test_a_choice_in_parts_scores_as_it_does_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five candidates, two at a time: they compete in one loss all the same."""
    model = encoders.model_of("bert", COPA)
    many = TrainingItem(tuple(sequence(4 + at, at) for at in range(5)), (0, 1, 0, 0, 1))
    lessons = [many, TrainingItem((sequence(8, 7), sequence(6, 8)), (1, 0))]
    whole = scores(measure_importance(model, lessons, "choice", 0))
    monkeypatch.setattr(importance, "SEQUENCES_AT_ONCE", 2)
    assert [len(batch) for batch in batches(lessons)] == [1, 1]
    parts = scores(measure_importance(model, lessons, "choice", 0))
    assert (whole > 0).all()
    np.testing.assert_allclose(parts, whole, rtol=1e-3, atol=1e-6)


def test_a_choice_without_a_right_candidate_scores_nothing() -> None:
    """As in training, it teaches nothing."""
    model = encoders.model_of("bert", COPA)
    lesson = TrainingItem((sequence(4, 0), sequence(5, 1)), (0, 0))
    assert not scores(measure_importance(model, [lesson], "choice", 0)).any()


def test_a_pass_holds_few_sequences_and_few_tokens() -> None:
    """Sixteen sequences, or fewer where they are long; all lessons, each once; likes together."""
    lengths = [300] * 20 + [7] * 40 + [5000]
    found = list(batches(lessons_of(lengths, 3)))
    assert [len(batch) for batch in found] == [1, 13, 13, 16, 16, 2]
    assert sorted(lesson.tokens for batch in found for lesson in batch) == sorted(lengths)
    # padded to 300, 13 are 3,900 tokens and 14 are 4,200, also where short ones fill up after the last 7
    assert [lesson.tokens for lesson in found[2]] == [300] * 7 + [7] * 6


def test_measuring_changes_nothing() -> None:
    """No hook stays and no gradient: the model answers as before."""
    model = encoders.model_of("bert", CB)
    (lesson,) = lessons_of([9], 3)
    before = loss_of(model, lesson).item()
    told: list[float] = []
    measure_importance(model, lessons_of([9, 4], 3), "sequence", 0, told.append)
    assert loss_of(model, lesson).item() == before
    assert told == [1.0]

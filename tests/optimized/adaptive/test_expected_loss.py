"""What an early answer is expected to lose: hand-worked cases, and the noise that labels have beside it."""

from dataclasses import replace

import numpy as np
import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st

from harness.systems.interface import Predictions
from harness.workload.tasks import get_task
from harness.workload.tasks.example import Example
from harness.workload.tasks.superglue.boolq import BOOLQ
from optimized.adaptive.expected_loss import CalibratedModel, judge_of


def said(rows: list[list[float]], offsets: list[int] | None = None) -> Predictions:
    """Return these logits, one sequence a request unless offsets say otherwise."""
    return Predictions(np.array(rows, np.float32), np.array(offsets or range(len(rows) + 1)))


def labelled(*gold: str) -> list[Example]:
    """Return questions with these answers."""
    (example,) = tiny.examples(1)
    return [replace(example, id=str(at), gold=(each,)) for at, each in enumerate(gold)]


def test_another_answer_loses_the_difference_of_two_probabilities() -> None:
    """Ln 3 apart: 0.75 and 0.25, so half an answer. Like answers lose nothing, however unsure they are."""
    full = said([[0.0, np.log(3)], [0.0, np.log(3)], [5.0, 0.0]])
    other = said([[0.1, 0.0], [0.0, 0.1], [0.1, 0.0]])
    assert CalibratedModel("sequence", full, 1.0).loss(other) == pytest.approx([0.5, 0.0, 0.0])


def test_a_temperature_above_one_makes_the_full_model_less_sure() -> None:
    """At 2 the distance is ln 3 / 2: odds of sqrt 3, shares of 0.634 and 0.366."""
    full = said([[0.0, np.log(3)]])
    assert CalibratedModel("sequence", full, 2.0).loss(said([[1.0, 0.0]])) == pytest.approx([0.268], abs=1e-3)


def test_candidates_are_compared_within_their_choice() -> None:
    """Shares of 1/2, 1/4, 1/4 and then 2/3, 1/3."""
    full = said([[np.log(2)], [0.0], [0.0], [0.0], [np.log(2)]], [0, 3, 5])
    other = said([[0.0], [0.0], [1.0], [1.0], [0.0]], [0, 3, 5])
    assert CalibratedModel("choice", full, 1.0).loss(other) == pytest.approx([1 / 4, 1 / 3])


def test_of_several_labelled_sequences_the_mean_counts_and_of_none_nothing() -> None:
    """One of two differs, by 0.5."""
    full = said([[0.0, np.log(3)], [0.0, 1.0]], [0, 2, 2])
    other = said([[1.0, 0.0], [0.0, 1.0]], [0, 2, 2])
    assert CalibratedModel("sequence", full, 1.0).loss(other) == pytest.approx([0.25, 0.0])


@pytest.mark.parametrize("factor", [0.5, 1.0, 4.0])
def test_the_temperature_is_what_makes_probabilities_right_on_average(factor: float) -> None:
    """Three of four are right at odds of three to one, told as if `factor` times as sure; many labels."""
    full = said([[0.0, factor * np.log(3)]] * 8_000)
    examples = labelled(*["true", "true", "true", "false"] * 2_000)
    assert judge_of(BOOLQ, examples, full).temperature == pytest.approx(factor, rel=0.03)


def test_few_labels_leave_the_temperature_open_and_the_lowest_that_fits_is_taken() -> None:
    """Odds r that lose half a unit of likelihood: 6 ln(3/4) + 2 ln(1/4) = -4.499, at r = 7.27 it is -4.999.

    The temperature is ln 3 / ln 7.27 = 0.554; with ten times the labels it is nearer to 1.
    """
    found = []
    for times in (2, 20):
        full = said([[0.0, np.log(3)]] * 4 * times)
        examples = labelled(*["true", "true", "true", "false"] * times)
        found.append(judge_of(BOOLQ, examples, full).temperature)
    odds = np.exp(np.log(3) / found[0])
    assert 6 * np.log(odds / (1 + odds)) + 2 * np.log(1 / (1 + odds)) == pytest.approx(-4.999, abs=1e-3)
    assert found[0] == pytest.approx(0.554, abs=0.001)
    assert found[0] < found[1] < 1


def test_a_model_that_is_always_right_or_knows_nothing_has_a_temperature_all_the_same() -> None:
    """At the lower end of what is looked at, where nothing speaks against it, and finite."""
    examples = labelled("true", "true")
    for rows in ([[0.0, 9.0]] * 2, [[9.0, 0.0]] * 2, [[0.0, 0.0]] * 2):
        found = judge_of(BOOLQ, examples, said(rows))
        assert 0 < found.temperature < 100
        assert np.isfinite(found.loss(said([[1.0, 0.0]] * 2))).all()


def test_a_request_without_candidates_says_nothing() -> None:
    """It has no answer to lose, and does not move the temperature."""
    task = get_task("copa")
    (example,) = tiny.task_examples(task, 1)
    none = replace(example, id="none", inputs=(), gold=())
    full = said([[1.0], [0.0]], [0, 2, 2])
    judge = judge_of(task, [example, none], full)
    assert judge.temperature == judge_of(task, [example], said([[1.0], [0.0]], [0, 2])).temperature
    assert judge.loss(full).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("name", ["cb", "copa", "multirc", "wic", "record"])
def test_every_head_has_a_judge(name: str) -> None:
    """Labels, choices of which several may be right, several labels, spans."""
    task = get_task(name)
    examples = tiny.task_examples(task, 6)
    counts = [len(each.inputs) for each in examples]
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(sum(counts), len(task.labels)))
    full = Predictions(rows.astype(np.float32), np.cumsum([0, *counts]))
    judge = judge_of(task, examples, full)
    assert judge.loss(full).tolist() == [0.0] * len(examples)
    turned = Predictions(-full.logits, full.offsets)
    assert (judge.loss(turned) >= 0).all()
    assert judge.loss(turned).max() > 0


@given(st.integers(0, 2**32 - 1), st.floats(0.2, 5.0))
def test_a_loss_is_none_where_answers_are_alike_and_never_more_than_one(
    seed: int, temperature: float
) -> None:
    """Wild logits."""
    rng = np.random.default_rng(seed)
    full, other = (said(rng.normal(0, 30, (7, 2)).tolist()) for _ in range(2))
    losses = CalibratedModel("sequence", full, temperature).loss(other)
    alike = full.logits.argmax(axis=1) == other.logits.argmax(axis=1)
    assert (losses[alike] == 0).all()
    assert ((losses >= 0) & (losses <= 1)).all()


def test_it_has_a_fraction_of_the_noise_of_labels() -> None:
    """A full model that is right as often as it says, an early one that differs where it is in doubt.

    Over 200 held-out parts of 273, both estimates are right on average; that of labels scatters twice as far.
    """
    rng = np.random.default_rng(0)
    by_labels, by_judge = [], []
    for _ in range(200):
        margins = rng.normal(0, 1, 273)
        true = rng.random(273) < 1 / (1 + np.exp(-margins))
        early = np.where((np.abs(margins) < 0.5) & (rng.random(273) < 0.3), -margins, margins)
        full = said([[0.0, each] for each in margins])
        right = ((margins > 0) == true).mean() - ((early > 0) == true).mean()
        by_labels.append(100 * right)
        judge = CalibratedModel("sequence", full, 1.0)
        by_judge.append(100 * judge.loss(said([[0.0, each] for each in early])).mean())
    assert np.mean(by_judge) == pytest.approx(np.mean(by_labels), abs=0.4)
    assert np.std(by_judge) < np.std(by_labels) / 2

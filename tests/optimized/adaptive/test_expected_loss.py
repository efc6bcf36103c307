"""The expected loss of early answers: cases computed by hand, and its noise compared with labels."""

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
from optimized.adaptive.expected_loss import CalibratedModel, calibrate_model


def predictions_of(rows: list[list[float]], offsets: list[int] | None = None) -> Predictions:
    """Return these logits, by default with one sequence for each request."""
    return Predictions(np.array(rows, np.float32), np.array(offsets or range(len(rows) + 1)))


def labelled(*gold: str) -> list[Example]:
    """Return questions with these answers."""
    (example,) = tiny.examples(1)
    return [replace(example, id=str(index), gold=(label,)) for index, label in enumerate(gold)]


def test_another_answer_loses_the_difference_of_two_probabilities() -> None:
    """Ln 3 apart: 0.75 and 0.25, so half an answer. Equal answers lose nothing at any confidence."""
    full = predictions_of([[0.0, np.log(3)], [0.0, np.log(3)], [5.0, 0.0]])
    other = predictions_of([[0.1, 0.0], [0.0, 0.1], [0.1, 0.0]])
    assert CalibratedModel("sequence", full, 1.0).expected_loss(other) == pytest.approx([0.5, 0.0, 0.0])


def test_a_temperature_above_one_makes_the_full_model_less_confident() -> None:
    """At 2 the distance is ln 3 / 2: odds of sqrt 3, shares of 0.634 and 0.366."""
    full = predictions_of([[0.0, np.log(3)]])
    assert CalibratedModel("sequence", full, 2.0).expected_loss(
        predictions_of([[1.0, 0.0]])
    ) == pytest.approx([0.268], abs=1e-3)


def test_candidates_are_compared_within_their_choice() -> None:
    """Shares of 1/2, 1/4, 1/4 and then 2/3, 1/3."""
    full = predictions_of([[np.log(2)], [0.0], [0.0], [0.0], [np.log(2)]], [0, 3, 5])
    other = predictions_of([[0.0], [0.0], [1.0], [1.0], [0.0]], [0, 3, 5])
    assert CalibratedModel("choice", full, 1.0).expected_loss(other) == pytest.approx([1 / 4, 1 / 3])


def test_of_several_labelled_sequences_the_mean_counts_and_of_none_nothing() -> None:
    """One of two differs, by 0.5."""
    full = predictions_of([[0.0, np.log(3)], [0.0, 1.0]], [0, 2, 2])
    other = predictions_of([[1.0, 0.0], [0.0, 1.0]], [0, 2, 2])
    assert CalibratedModel("sequence", full, 1.0).expected_loss(other) == pytest.approx([0.25, 0.0])


@pytest.mark.parametrize("factor", [0.5, 1.0, 4.0])
def test_the_temperature_is_what_makes_probabilities_right_on_average(factor: float) -> None:
    """Three of four are right at odds of three to one, with logits scaled by `factor`; many labels."""
    full = predictions_of([[0.0, factor * np.log(3)]] * 8_000)
    examples = labelled(*["true", "true", "true", "false"] * 2_000)
    assert calibrate_model(BOOLQ, examples, full).temperature == pytest.approx(factor, rel=0.03)


def test_with_few_labels_the_lowest_temperature_within_one_error_is_used() -> None:
    """Odds r that lose half a unit of likelihood: 6 ln(3/4) + 2 ln(1/4) = -4.499, at r = 7.27 it is -4.999.

    The temperature is ln 3 / ln 7.27 = 0.554; with ten times the labels it is nearer to 1.
    """
    temperatures = []
    for times in (2, 20):
        full = predictions_of([[0.0, np.log(3)]] * 4 * times)
        examples = labelled(*["true", "true", "true", "false"] * times)
        temperatures.append(calibrate_model(BOOLQ, examples, full).temperature)
    odds = np.exp(np.log(3) / temperatures[0])
    assert 6 * np.log(odds / (1 + odds)) + 2 * np.log(1 / (1 + odds)) == pytest.approx(-4.999, abs=1e-3)
    assert temperatures[0] == pytest.approx(0.554, abs=0.001)
    assert temperatures[0] < temperatures[1] < 1


def test_a_model_that_is_always_right_or_always_undecided_has_a_temperature() -> None:
    """It is within the bounds of the fit, and losses are finite."""
    examples = labelled("true", "true")
    for rows in ([[0.0, 9.0]] * 2, [[9.0, 0.0]] * 2, [[0.0, 0.0]] * 2):
        model = calibrate_model(BOOLQ, examples, predictions_of(rows))
        assert 0 < model.temperature < 100
        assert np.isfinite(model.expected_loss(predictions_of([[1.0, 0.0]] * 2))).all()


def test_a_request_without_candidates_has_no_loss() -> None:
    """It does not change the temperature either."""
    task = get_task("copa")
    (example,) = tiny.task_examples(task, 1)
    none = replace(example, id="none", inputs=(), gold=())
    full = predictions_of([[1.0], [0.0]], [0, 2, 2])
    model = calibrate_model(task, [example, none], full)
    assert (
        model.temperature
        == calibrate_model(task, [example], predictions_of([[1.0], [0.0]], [0, 2])).temperature
    )
    assert model.expected_loss(full).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("name", ["cb", "copa", "multirc", "wic", "record"])
def test_every_head_can_be_calibrated(name: str) -> None:
    """Labels, choices of which several may be right, several labels, spans."""
    task = get_task(name)
    examples = tiny.task_examples(task, 6)
    counts = [len(example.inputs) for example in examples]
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(sum(counts), len(task.labels)))
    full = Predictions(rows.astype(np.float32), np.cumsum([0, *counts]))
    model = calibrate_model(task, examples, full)
    assert model.expected_loss(full).tolist() == [0.0] * len(examples)
    negated = Predictions(-full.logits, full.offsets)
    assert (model.expected_loss(negated) >= 0).all()
    assert model.expected_loss(negated).max() > 0


@given(st.integers(0, 2**32 - 1), st.floats(0.2, 5.0))
def test_a_loss_is_0_for_equal_answers_and_at_most_1(seed: int, temperature: float) -> None:
    """For logits of any size."""
    rng = np.random.default_rng(seed)
    full, other = (predictions_of(rng.normal(0, 30, (7, 2)).tolist()) for _ in range(2))
    losses = CalibratedModel("sequence", full, temperature).expected_loss(other)
    equal = full.logits.argmax(axis=1) == other.logits.argmax(axis=1)
    assert (losses[equal] == 0).all()
    assert ((losses >= 0) & (losses <= 1)).all()


def test_the_expected_loss_has_a_fraction_of_the_noise_of_labels() -> None:
    """A calibrated full model, and an early one that differs where the full model is uncertain.

    Over 200 held-out parts of 273, both estimates are right on average; that by labels has twice the spread.
    """
    rng = np.random.default_rng(0)
    by_labels, by_probabilities = [], []
    for _ in range(200):
        margins = rng.normal(0, 1, 273)
        true = rng.random(273) < 1 / (1 + np.exp(-margins))
        early = np.where((np.abs(margins) < 0.5) & (rng.random(273) < 0.3), -margins, margins)
        full = predictions_of([[0.0, margin] for margin in margins])
        right = ((margins > 0) == true).mean() - ((early > 0) == true).mean()
        by_labels.append(100 * right)
        model = CalibratedModel("sequence", full, 1.0)
        by_probabilities.append(
            100 * model.expected_loss(predictions_of([[0.0, margin] for margin in early])).mean()
        )
    assert np.mean(by_probabilities) == pytest.approx(np.mean(by_labels), abs=0.4)
    assert np.std(by_probabilities) < np.std(by_labels) / 2

"""Closeness of a rounded model to fp32: relative to the logits' spread, and by the share of equal answers."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import tiny
from scipy.stats import binomtest

from harness.common.errors import UnsupportedError
from harness.common.json_types import JsonObject
from harness.systems.interface import Predictions, Request
from harness.workload.tasks import get_task
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Example
from harness.workload.tasks.superglue.boolq import BOOLQ
from optimized.graphs.closeness import batch_dependence, highest_share, require_closeness

COPA, WIC = get_task("copa"), get_task("wic")
TEN = np.array([-5, -4, -3, -2, -1, 1, 2, 3, 4, 5.0])


@dataclass
class FixedSystem:
    """A system that answers with fixed logits; `sizes` are the sequences of each request."""

    logits: Any
    sizes: Sequence[int] = ()

    def encode(self, examples: Sequence[Example]) -> list[Request]:
        return [Request(example.id, ()) for example in examples]

    def predict(self, requests: Sequence[Request]) -> Predictions:
        offsets = np.cumsum([0, *(self.sizes or [1] * len(requests))])
        return Predictions(np.array(self.logits, dtype=np.float32), offsets)

    def describe(self) -> Mapping[str, Any]:
        return {}

    def close(self) -> None: ...


def two_labels(margins: Any, shift: float = 0.0) -> Any:
    """Return logits of two labels with these margins, both moved by `shift`."""
    half = np.asarray(margins) / 2
    return np.stack([half + shift, shift - half], axis=1)


def compare(
    exact: Any, rounded: Any, task: Task = BOOLQ, sizes: Sequence[int] = (), **options: bool
) -> JsonObject:
    """Compare two systems with these logits on as many examples."""
    trial = tiny.examples(len(sizes) or len(exact))
    return require_closeness(task, FixedSystem(exact, sizes), FixedSystem(rounded, sizes), trial, **options)


def test_an_error_is_relative_to_the_spread_of_logits_over_examples() -> None:
    """The logits of two labels are half of their margin, with either sign."""
    signs = np.tile([1, -1], 5)
    agreement = compare(two_labels(TEN), two_labels(TEN + 0.2 * signs))
    assert agreement["relative_error"] == pytest.approx(0.1 / np.std(TEN / 2, ddof=1), rel=1e-6)
    assert agreement["max_logit_difference"] == pytest.approx(0.1, rel=1e-5)
    assert (agreement["bound"], agreement["relative_to"]) == (0.25, "the spread of fp32's logits")
    assert (agreement["examples"], agreement["equal_answers"], agreement["equal_at_most"]) == (10, 1.0, 1.0)


@pytest.mark.parametrize("size", [1e-4, 1.0, 1e4])
def test_small_logits_are_held_to_the_same_bound(size: float) -> None:
    """A tenth of the spread is accepted and a third refused, whatever a logit's size."""
    exact, spread = two_labels(TEN * size), np.std(TEN / 2, ddof=1) * size
    away = np.sign(TEN)  # from the other answer: all answers stay equal
    assert compare(exact, two_labels(TEN * size + 0.2 * spread * away))["equal_answers"] == 1.0
    with pytest.raises(
        UnsupportedError, match=r"change by 0\.33 of their spread \(limit 0\.25\), and 10 answers"
    ):
        compare(exact, two_labels(TEN * size + 0.66 * spread * away))


def test_what_moves_all_labels_alike_is_no_error() -> None:
    """The labels of a request are compared with one another."""
    agreement = compare(two_labels(TEN), two_labels(TEN, shift=3.0))
    assert agreement["relative_error"] == pytest.approx(0.0, abs=1e-6)
    assert agreement["max_logit_difference"] == pytest.approx(3.0)


@pytest.mark.parametrize(("unequal", "refused"), [(2, False), (3, True)])
def test_equal_answers_are_judged_by_their_interval(unequal: int, *, refused: bool) -> None:
    """45 of 48 answers speak against 98 %, 46 of 48 do not: Wilson's interval, as scipy computes it."""
    margins = np.concatenate([np.full(23, 5.0), np.full(22, -5.0), np.full(3, 0.5)])
    moved = margins.copy()
    moved[-unequal:] = -0.5
    high = binomtest(48 - unequal, 48).proportion_ci(method="wilson").high
    assert highest_share(48 - unequal, 48) == pytest.approx(high, rel=1e-6)
    assert refused == (high < 0.98)
    if refused:
        with pytest.raises(
            UnsupportedError, match=r"45 answers are equal \(with 95 % confidence at most 97\.9%"
        ):
            compare(two_labels(margins), two_labels(moved))
    else:
        assert compare(two_labels(margins), two_labels(moved))["equal_at_most"] == pytest.approx(high)


@pytest.mark.parametrize(("margin", "refused"), [(0.01, False), (0.3, True)])
def test_a_tie_may_turn(margin: float, *, refused: bool) -> None:
    """Half of the answers turn; of margins below a tenth of the spread fp32 itself is not sure."""
    margins = np.concatenate([np.linspace(-5, 5, 24), np.full(24, margin)])
    turned = np.concatenate([margins[:24], -margins[24:]])
    if refused:
        with pytest.raises(UnsupportedError, match="and 24 answers are equal"):
            compare(two_labels(margins), two_labels(turned))
    else:
        agreement = compare(two_labels(margins), two_labels(turned))
        assert (agreement["equal_answers"], agreement["equal_but_ties"]) == (0.5, 1.0)


def test_candidates_are_compared_within_their_request() -> None:
    """What moves both scores of a request alike is no error; requests without candidates do not disturb."""
    scores = np.stack([TEN, -TEN], axis=1).reshape(-1, 1)
    sizes = [2, 2, 2, 0, *[2] * 7]
    agreement = compare(scores, scores + np.repeat(TEN, 2)[:, None], COPA, sizes)
    assert agreement["relative_error"] == pytest.approx(0.0, abs=1e-6)
    assert agreement["equal_answers"] == 1.0
    with pytest.raises(UnsupportedError, match="and 1 answers are equal"):
        compare(scores, -scores, COPA, sizes)


def test_any_number_of_labels_is_compared_with_the_threshold() -> None:
    """A shift of all logits is an error, and turns answers: there is no other label to compare with."""
    task = tiny.multi_label_task()
    logits = np.stack([TEN, -TEN, TEN - 0.5], axis=1)
    agreement = compare(logits, logits + 0.1, task)
    assert agreement["relative_error"] == pytest.approx(0.1 / np.std(TEN, ddof=1), rel=1e-5)
    with pytest.raises(UnsupportedError, match=r"change by 0\.57 of their spread"):
        compare(logits, logits + 2.0, task)


def test_spans_have_labels_as_sequences_do() -> None:
    """WiC: true or false."""
    assert compare(two_labels(TEN), two_labels(1.05 * TEN), WIC)["relative_error"] == pytest.approx(
        0.05, rel=0.1
    )
    with pytest.raises(UnsupportedError, match="too far from fp32"):
        compare(two_labels(TEN), two_labels(-TEN), WIC)


@pytest.mark.parametrize(
    ("options", "reason"),
    [({"trained": False}, "the model is untrained"), ({}, r"they vary by 0\.00\d+ of it")],
)
def test_a_model_without_spread_is_measured(options: dict[str, bool], reason: str) -> None:
    """Random weights may answer all alike: the error is larger than what differs, but not than logits."""
    exact = two_labels(4 + TEN / 1000)
    agreement = compare(exact, two_labels(4 - TEN / 1000), **options)
    assert agreement["bound"] == 0.5
    assert agreement["relative_to"].startswith("the size of logits, because ")
    assert re.search(reason, agreement["relative_to"])
    with pytest.raises(UnsupportedError, match=r"of their size \(limit 0.5\)"):
        compare(exact, two_labels(np.zeros(10)), **options)


def test_few_examples_show_no_spread() -> None:
    """Three answers are compared by the size of their logits."""
    agreement = compare(two_labels([4, 4, 4]), two_labels([4, 4, 3]))
    assert "because 3 sequences show no spread" in agreement["relative_to"]
    assert agreement["relative_error"] == pytest.approx((1 / 3) ** 0.5 / 4, rel=1e-5)


@pytest.mark.parametrize("trained", [True, False])
@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_refused(broken: float, *, trained: bool) -> None:
    """Also of an untrained model: its graph is broken."""
    with pytest.raises(UnsupportedError, match="too far from fp32"):
        compare(two_labels(TEN), two_labels([broken, *TEN[1:]]), trained=trained)


def test_logits_that_are_all_zero_are_equal_to_themselves() -> None:
    """A head of zeros has neither size nor spread."""
    nothing = np.zeros((10, 2))
    assert compare(nothing, nothing)["relative_error"] == 0.0
    with pytest.raises(UnsupportedError, match="change by inf"):
        compare(nothing, two_labels(TEN))


def test_one_request_has_no_batch_mates() -> None:
    """Its dependence on a batch is unavailable."""
    dependence = batch_dependence(BOOLQ, FixedSystem([[1.0, 2.0]]), tiny.examples(1))
    assert dependence == "unavailable, because there were fewer than two trial examples"

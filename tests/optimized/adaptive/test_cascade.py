"""Cascades: which stage answers, the costs, and thresholds that keep the allowed loss where calibrated."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st

from baselines.engines.onnx.runtime import OnnxVariant
from baselines.engines.pytorch import VARIANTS
from baselines.training.datasets import split_for_selection
from harness.common.errors import MeasurementError, UsageError
from harness.records.ladder import parse_ladder
from harness.systems.interface import Predictions, PreparationSources, Request, Settings, offsets_of
from harness.workload.tasks import get_task
from harness.workload.tasks.example import Example
from harness.workload.tasks.superglue.boolq import BOOLQ
from optimized.adaptive.cascade import CascadeSystem, CascadeVariant
from optimized.adaptive.confidence import (
    StageOutcome,
    ThresholdChoice,
    answering_stages,
    choose,
    curve,
    is_within,
    pareto_front,
)
from optimized.adaptive.criteria import NEVER, confidence_scores
from optimized.ladders.rung import variant_of

FIXED, DYNAMIC = VARIANTS


@dataclass
class FixedMargins:
    """A BoolQ system that records its requests, with logits given by `margins`: above 0 for true."""

    margins: Mapping[str, float]
    answered: list[str]
    encoding: str = "same"

    def encode(self, examples: Sequence[Example]) -> list[Request]:
        """Return requests with one sequence."""
        return [Request(example.id, (tiny_sequence(),)) for example in examples]

    def predict(self, requests: Sequence[Request]) -> Predictions:
        """Answer by id, and record the ids."""
        self.answered += [request.id for request in requests]
        rows = [[0.0, self.margins[request.id]] for request in requests]
        return Predictions(np.array(rows, dtype=np.float32).reshape(-1, 2), offsets_of(requests))

    def describe(self) -> dict[str, Any]:
        """Return an engine and one thread."""
        return {"engine": "fixed", "threads": 1}

    def close(self) -> None:
        """Nothing to release."""


def tiny_sequence() -> Any:
    """Return one encoded token."""
    from harness.systems.interface import EncodedSequence

    return EncodedSequence(np.ones(1, dtype=np.int64), np.zeros(1, dtype=np.int64))


def examples(*ids: str) -> list[Example]:
    """Return examples with these ids."""
    return [replace(tiny.examples(1)[0], id=name) for name in ids]


@pytest.mark.parametrize("margin", [np.nan, np.inf, -np.inf])
def test_a_stage_whose_logits_are_not_finite_fails(margin: float) -> None:
    """A NaN is below no threshold: without the check it would count as confident, or be passed on unseen."""
    small, large = FixedMargins({"a": margin}, []), FixedMargins({"a": 1.0}, [])
    cascade = CascadeSystem(BOOLQ, [small, large], [0.9])
    with pytest.raises(MeasurementError, match="not finite numbers"):
        cascade.predict(cascade.encode(examples("a")))


def test_only_requests_below_the_threshold_reach_the_second_stage() -> None:
    """A margin of 3 is a probability of 95 %, of 1 it is 73 %: between them lies the threshold of 0.9."""
    small = FixedMargins({"a": 3.0, "b": 1.0, "c": -3.0, "d": -0.5}, [])
    large = FixedMargins({"a": -9.0, "b": -9.0, "c": 9.0, "d": 9.0}, [])
    system = CascadeSystem(BOOLQ, [small, large], [0.9])
    predictions = system.predict(system.encode(examples("a", "b", "c", "d")))
    assert large.answered == ["b", "d"]
    assert BOOLQ.decide(predictions.logits, predictions.offsets) == ["true", "false", "false", "true"]
    assert predictions.costs["stage"].tolist() == [1, 2, 1, 2]


@given(
    st.lists(st.floats(-6, 6), min_size=1, max_size=8),
    st.floats(0, 1),
    st.integers(0, 2**32 - 1),
    st.sampled_from(["confidence", "entropy"]),
)
def test_an_answer_is_that_of_the_stage_which_gave_it(
    margins: list[float], threshold: float, seed: int, criterion: str
) -> None:
    """Logits are the answering stage's own; at `never` all are the last stage's, at 0 all the first's."""
    ids = [str(number) for number in range(len(margins))]
    other = np.random.default_rng(seed).uniform(-6, 6, len(margins))
    small, large = (
        FixedMargins(dict(zip(ids, margins, strict=True)), []),
        FixedMargins(dict(zip(ids, other, strict=True)), []),
    )
    for value in (threshold, NEVER, 0.0):
        system = CascadeSystem(BOOLQ, [small, large], [value], criterion)
        predictions = system.predict(system.encode(examples(*ids)))
        source = np.where(predictions.costs["stage"] == 1, margins, other)
        np.testing.assert_allclose(predictions.logits[:, 1], source.astype(np.float32))
        if value in (NEVER, 0.0):
            assert set(predictions.costs["stage"]) == {2.0 if value == NEVER else 1.0}


def test_confidence_is_the_probability_of_the_answer() -> None:
    """Two labels: 1 / (1 + e^-2) = 0.881. A choice: among its sequences. Several labelled: the lowest."""
    assert confidence_scores(BOOLQ, np.array([[0.0, 2.0]], np.float32), np.array([0, 1])) == pytest.approx(
        [0.8808], abs=1e-4
    )
    copa = get_task("copa")
    scores = np.array([[1.0], [3.0], [5.0], [5.0]], np.float32)
    assert confidence_scores(copa, scores, np.array([0, 2, 4])) == pytest.approx([0.8808, 0.5], abs=1e-4)
    both = np.array([[0.0, 2.0], [0.0, 0.0]], np.float32)
    assert confidence_scores(BOOLQ, both, np.array([0, 2])) == pytest.approx([0.5])
    assert confidence_scores(BOOLQ, np.zeros((0, 2), np.float32), np.array([0, 0])) == pytest.approx([1.0])


def test_by_entropy_a_tie_has_the_score_0_and_certainty_1() -> None:
    """Shares of 1/2, 1/4, 1/4: H = 1.5 ln 2, of ln 3 at most, so 1 - 1.5 ln 2 / ln 3 = 0.0536."""
    cb = get_task("cb")
    logits = np.log(np.array([[2.0, 1.0, 1.0], [1.0, 1.0, 1.0]])).astype(np.float32)
    scores = confidence_scores(cb, logits, np.array([0, 1, 2]), "entropy")
    assert scores == pytest.approx([0.0536, 0.0], abs=1e-4)
    certain = np.array([[99.0, 0.0, 0.0]], np.float32)
    assert confidence_scores(cb, certain, np.array([0, 1]), "entropy") == pytest.approx([1.0])
    copa = get_task("copa")
    scores = np.array([[5.0], [5.0], [7.0]], np.float32)
    assert confidence_scores(copa, scores, np.array([0, 2, 3]), "entropy") == pytest.approx(
        [0.0, 1.0], abs=1e-6
    )


GOLD = tuple("true" if number % 2 else "false" for number in range(8))
QUESTIONS = [Example(str(number), tiny.examples(1)[0].inputs, (gold,)) for number, gold in enumerate(GOLD)]


def stages() -> list[StageOutcome]:
    """Return a small stage that is right and confident in the first half, and a large one, always right."""
    wrong = tuple("false" if gold == "true" else "true" for gold in GOLD)
    scores = np.array([0.99, 0.98, 0.97, 0.96, 0.6, 0.59, 0.58, 0.57])
    losses = np.array([0.0, 0.0, 0.0, 0.0, 0.2, 0.2, 0.2, 0.2])
    return [
        StageOutcome((*GOLD[:4], *wrong[4:]), scores, losses, 1.0),
        StageOutcome(GOLD, np.ones(8), np.zeros(8), 10.0),
    ]


def test_the_cheapest_thresholds_within_the_loss_are_chosen() -> None:
    """Half of the examples are answered by the small stage: 1 + 0.5 * 10 = 6 seconds instead of 11."""
    choices = curve(BOOLQ, QUESTIONS, stages())
    exact = choose(choices, full=1.0, loss=0.0)
    assert (exact.quality, exact.seconds, exact.shares) == (1.0, 6.0, (0.5, 0.5))
    loose = choose(choices, full=1.0, loss=25.0)
    assert loose.quality >= 0.75
    assert loose.seconds < exact.seconds
    never = next(choice for choice in choices if choice.thresholds == (NEVER,))
    assert (never.seconds, never.shares) == (11.0, (0.0, 1.0))


def test_a_stage_with_the_threshold_never_does_not_run_in_a_cascade() -> None:
    """It costs nothing then: 10 seconds for the last stage, not 1 + 10 for a stage that answers nothing.

    This is chosen where the small stage is not right often enough.
    """
    small, large = stages()
    choices = curve(BOOLQ, QUESTIONS, [replace(small, losses=np.full(8, 0.5)), large], skip_closed=True)
    chosen = choose(choices, full=1.0, loss=0.0)
    assert (chosen.thresholds, chosen.seconds, chosen.shares) == ((NEVER,), 10.0, (0.0, 1.0))
    first, last = FixedMargins({"a": 3.0}, []), FixedMargins({"a": -1.0}, [])
    system = CascadeSystem(BOOLQ, [first, last], [NEVER])
    predictions = system.predict(system.encode(examples("a")))
    assert (first.answered, last.answered) == ([], ["a"])
    assert predictions.costs["stage"].tolist() == [2]


def test_a_choice_that_is_allowed_by_labels_only_is_not_chosen() -> None:
    """By labels the small stage is right in the second half, too; by probabilities it loses a fifth there.

    One of eight answers: 2.5 points, and seven zeros with one 20 have a standard error of 2.5.
    """
    small, large = stages()
    lucky = [StageOutcome(GOLD, small.scores, small.losses, 1.0), large]
    choices = curve(BOOLQ, QUESTIONS, lucky)
    assert all(choice.quality == 1.0 for choice in choices)
    assert choose(choices, full=1.0, loss=0.0).shares == (0.5, 0.5)
    one_more = next(choice for choice in choices if choice.shares == (0.625, 0.375))
    assert (one_more.loss, one_more.loss_error) == (pytest.approx(2.5), pytest.approx(2.5))
    assert choose(choices, full=1.0, loss=5.0 - 1e-6).shares == (0.5, 0.5)
    assert choose(choices, full=1.0, loss=5.0).shares == (0.625, 0.375)


def test_if_no_choice_is_allowed_the_smallest_expected_loss_is_chosen() -> None:
    """In a cascade, passing all requests on is always allowed; all length schedules may lose too much."""
    lossy = [choice for choice in curve(BOOLQ, QUESTIONS, stages()) if choice.shares[0] > 0.5]
    chosen = choose(lossy, full=1.0, loss=0.0)
    assert chosen.loss == min(choice.loss for choice in lossy)
    assert not is_within(chosen, 1.0, 0.0)


@given(st.integers(0, 2**32 - 1))
def test_no_choice_of_the_front_is_equalled_by_a_cheaper_one(seed: int) -> None:
    """In quality and expected loss; and every other choice is equalled by one of the front."""
    rng = np.random.default_rng(seed)
    choices = [
        ThresholdChoice((), *rng.integers(0, 4, 2).astype(float), (), float(rng.integers(0, 4)), 0.0)
        for _ in range(12)
    ]
    kept = pareto_front(choices)
    assert [choice.seconds for choice in kept] == sorted(choice.seconds for choice in kept)

    def equals(first: ThresholdChoice, second: ThresholdChoice) -> bool:
        return (
            first.seconds <= second.seconds and first.quality >= second.quality and first.loss <= second.loss
        )

    assert not any(equals(*pair) for pair in permutations(kept, 2))
    assert all(any(equals(choice, other) for choice in kept) for other in choices)


def test_three_stages_pass_on_in_order() -> None:
    """The first stage that reaches its threshold answers, else the last."""
    scores = [np.array([0.9, 0.1, 0.1]), np.array([0.1, 0.9, 0.1]), np.ones(3)]
    assert answering_stages(scores, (0.5, 0.5)).tolist() == [0, 1, 2]


def trained(folder: Path) -> PreparationSources:
    """Return sources whose training split has 60 examples."""
    return replace(tiny.sources(folder), training=lambda: tiny.examples(60), training_sha256="c" * 64)


def test_a_cascade_is_prepared_calibrated_and_loaded(boolq_folder: Path, tmp_path: Path) -> None:
    """Its manifest has the number of held-out examples, each stage's own quality, and the whole curve."""
    variant = CascadeVariant("both", "", (DYNAMIC, FIXED), loss=0.0)
    artifact = variant.prepare(BOOLQ, trained(boolq_folder), tiny.SHORT, tiny.preparation_context(tmp_path))
    calibration = artifact.manifest["calibration"]
    held_out = split_for_selection(tiny.examples(60), 0)[1]
    assert calibration["examples"] == len(held_out) == 6
    assert calibration["data_sha256"] == "c" * 64
    assert calibration["full_seconds"] == calibration["seconds_alone"][-1]
    # both stages are the same model, so the first may answer everything
    assert calibration["chosen"]["shares"] == [1.0, 0.0]
    assert calibration["stages_alone"][0] == calibration["stages_alone"][1]
    system = variant.load(BOOLQ, artifact, tiny.CPU, tiny.SHORT)
    questions = tiny.examples(5)
    context = tiny.preparation_context(tmp_path)
    plain = DYNAMIC.prepare(BOOLQ, tiny.sources(boolq_folder), tiny.SHORT, context)
    alone = DYNAMIC.load(BOOLQ, plain, tiny.CPU, tiny.SHORT)
    np.testing.assert_allclose(
        system.predict(system.encode(questions)).logits,
        alone.predict(alone.encode(questions)).logits,
        atol=1e-5,
    )
    description = system.describe()
    assert description["thresholds"] == artifact.manifest["thresholds"]
    assert len(description["stages"]) == 2


def test_threads_of_a_stage_rest_while_the_next_one_works(boolq_folder: Path, tmp_path: Path) -> None:
    """Otherwise those of ONNX Runtime would spin for a while on the cores that the next stage needs."""
    variant = CascadeVariant("both", "", (OnnxVariant(), OnnxVariant()), thresholds=(0.5,))
    artifact = variant.prepare(
        BOOLQ, tiny.sources(boolq_folder), tiny.SHORT, tiny.preparation_context(tmp_path)
    )
    system = variant.load(BOOLQ, artifact, tiny.CPU, tiny.SHORT)
    assert [stage["rests_between_calls"] for stage in system.describe()["stages"]] == [True, True]
    system.close()


def test_at_never_a_cascade_is_its_last_stage(tmp_path: Path) -> None:
    """No calibration is needed, nor training examples."""
    other = tiny.tiny_checkpoint(tmp_path / "other", seed=5)
    first = variant_of({"name": "a", "recipes": [], "engine": "pytorch-dynamic"})
    variant = CascadeVariant("both", "", (first, FIXED), thresholds=("never",))
    context = tiny.preparation_context(tmp_path / "cache")
    artifact = variant.prepare(BOOLQ, tiny.sources(other), tiny.SHORT, context)
    system = variant.load(BOOLQ, artifact, tiny.CPU, tiny.SHORT)
    predictions = system.predict(system.encode(tiny.examples(5)))
    assert set(predictions.costs["stage"]) == {2.0}
    with pytest.raises(UsageError, match="training examples"):
        replace(variant, thresholds=()).prepare(BOOLQ, tiny.sources(other), tiny.SHORT, context)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stages": (DYNAMIC,)}, "at least two stages, got 1"),
        ({"thresholds": (0.5, 0.5)}, "1 for 2 stages; got 2"),
        ({"thresholds": (1.5,)}, "expected a threshold from 0 to 1, or never"),
        ({"thresholds": ("often",)}, "expected a threshold from 0 to 1, or never"),
        ({"loss": -1.0}, "loss must be from 0 to 100 points, got -1.0"),
        ({"criterion": "patience"}, "criterion"),
    ],
)
def test_invalid_options_of_a_cascade_are_refused(changes: dict[str, Any], message: str) -> None:
    """Before anything is prepared."""
    options: dict[str, Any] = {"stages": (DYNAMIC, FIXED), **changes}
    with pytest.raises(UsageError, match=message):
        CascadeVariant("x", "", **options)


def ladder_of(*rungs: dict[str, Any]) -> Any:
    """Return a ladder of these rungs."""
    return parse_ladder({"name": "ladder", "rungs": list(rungs)}, "ladder.yaml", {})


PLAIN = {"name": "plain", "engine": "pytorch-dynamic"}
SMALL = {"name": "small", "engine": "onnx-int8", "recipes": [{"distil": {"student": "layers:half"}}]}


def test_a_rung_names_its_stages_among_earlier_rungs(boolq_folder: Path) -> None:
    """By default it is compared with its last stage, the full model."""
    ladder = ladder_of(
        PLAIN,
        SMALL,
        {"name": "both", "cascade": ["small", "plain"], "options": {"loss": 1.0, "criterion": "entropy"}},
    )
    rung = ladder.rung("both")
    assert rung.over == "plain"
    variant = variant_of(rung.words())
    assert [stage.name for stage in variant.engine.stages] == ["small", "plain"]  # type: ignore[attr-defined]
    assert (variant.engine.loss, variant.engine.criterion) == (1.0, "entropy")  # type: ignore[attr-defined]
    del boolq_folder


@pytest.mark.parametrize(
    ("rung", "message"),
    [
        ({"name": "x", "cascade": ["small", "plian"]}, "earlier rung"),
        ({"name": "x", "cascade": ["small", "plain"], "engine": "onnx-fp32"}, "its stages define"),
        ({"name": "x", "stages": [{}], "cascade": ["small"]}, "must name its stages in `cascade`"),
    ],
)
def test_a_misspelt_cascade_is_refused(rung: dict[str, Any], message: str) -> None:
    """With the reason."""
    with pytest.raises(UsageError, match=message):
        ladder_of(PLAIN, SMALL, rung)


def test_an_unknown_option_of_a_cascade_is_refused() -> None:
    """With the nearest name."""
    ladder = ladder_of(PLAIN, SMALL, {"name": "x", "cascade": ["small", "plain"], "options": {"los": 1}})
    with pytest.raises(UsageError, match="option of a cascade"):
        variant_of(ladder.rung("x").words())


def test_answers_do_not_depend_on_batches(boolq_folder: Path, tmp_path: Path) -> None:
    """In one call or one by one: the same answers."""
    variant = CascadeVariant("both", "", (DYNAMIC, FIXED), thresholds=(0.7,))
    artifact = variant.prepare(
        BOOLQ, tiny.sources(boolq_folder), Settings(32, 1), tiny.preparation_context(tmp_path)
    )
    system = variant.load(BOOLQ, artifact, tiny.CPU, Settings(32, 1))
    requests = system.encode(tiny.examples(6))
    together = system.predict(requests).logits
    alone = np.concatenate([system.predict([request]).logits for request in requests])
    np.testing.assert_allclose(together, alone, atol=1e-5)

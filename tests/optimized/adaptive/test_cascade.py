"""Cascades: who answers what, what it costs, and thresholds that keep their promise where they were found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
from harness.common.errors import UsageError
from harness.records.ladder import parse_ladder
from harness.systems.interface import Predictions, PreparationSources, Request, Settings, offsets_of
from harness.workload.tasks import get_task
from harness.workload.tasks.example import Example
from harness.workload.tasks.superglue.boolq import BOOLQ
from optimized.adaptive.cascade import CascadeSystem, CascadeVariant
from optimized.adaptive.confidence import (
    StageOutcome,
    ThresholdChoice,
    choose,
    curve,
    front,
    stages_of,
    within,
)
from optimized.adaptive.criteria import NEVER, sureness
from optimized.ladders.rung import variant_of

FIXED, DYNAMIC = VARIANTS


@dataclass
class Said:
    """A system whose logits for BoolQ are decided by the test: `margin` by example id, above 0 for true."""

    margins: Mapping[str, float]
    asked: list[str]
    encoding: str = "same"

    def encode(self, examples: Sequence[Example]) -> list[Request]:
        """Return requests without sequences but one."""
        return [Request(each.id, (tiny_sequence(),)) for each in examples]

    def predict(self, requests: Sequence[Request]) -> Predictions:
        """Answer by id and remember who was asked."""
        self.asked += [request.id for request in requests]
        rows = [[0.0, self.margins[request.id]] for request in requests]
        return Predictions(np.array(rows, dtype=np.float32).reshape(-1, 2), offsets_of(requests))

    def describe(self) -> dict[str, Any]:
        """Say one thread."""
        return {"engine": "said", "threads": 1}

    def close(self) -> None:
        """Nothing to release."""


def tiny_sequence() -> Any:
    """Return one encoded token."""
    from harness.systems.interface import EncodedSequence

    return EncodedSequence(np.ones(1, dtype=np.int64), np.zeros(1, dtype=np.int64))


def examples(*ids: str) -> list[Example]:
    """Return examples with these ids."""
    return [replace(tiny.examples(1)[0], id=name) for name in ids]


def test_only_what_the_first_stage_is_unsure_of_reaches_the_second() -> None:
    """A margin of 3 is a probability of 95 %, of 1 it is 73 %: between them lies the threshold of 0.9."""
    small = Said({"a": 3.0, "b": 1.0, "c": -3.0, "d": -0.5}, [])
    large = Said({"a": -9.0, "b": -9.0, "c": 9.0, "d": 9.0}, [])
    system = CascadeSystem(BOOLQ, [small, large], [0.9])
    found = system.predict(system.encode(examples("a", "b", "c", "d")))
    assert large.asked == ["b", "d"]
    assert BOOLQ.decide(found.logits, found.offsets) == ["true", "false", "false", "true"]
    assert found.costs["stage"].tolist() == [1, 2, 1, 2]


@given(
    st.lists(st.floats(-6, 6), min_size=1, max_size=8),
    st.floats(0, 1),
    st.integers(0, 2**32 - 1),
    st.sampled_from(["confidence", "entropy"]),
)
def test_answers_once_given_are_never_changed(
    margins: list[float], threshold: float, seed: int, criterion: str
) -> None:
    """Whoever answers, the logits are its own; at `never` all are the last stage's, at 0 all the first's."""
    ids = [str(number) for number in range(len(margins))]
    other = np.random.default_rng(seed).uniform(-6, 6, len(margins))
    small, large = (
        Said(dict(zip(ids, margins, strict=True)), []),
        Said(dict(zip(ids, other, strict=True)), []),
    )
    for at in (threshold, NEVER, 0.0):
        system = CascadeSystem(BOOLQ, [small, large], [at], criterion)
        found = system.predict(system.encode(examples(*ids)))
        source = np.where(found.costs["stage"] == 1, margins, other)
        np.testing.assert_allclose(found.logits[:, 1], source.astype(np.float32))
        if at in (NEVER, 0.0):
            assert set(found.costs["stage"]) == {2.0 if at == NEVER else 1.0}


def test_sureness_is_the_probability_of_the_answer() -> None:
    """Two labels: 1 / (1 + e^-2) = 0.881. A choice: among its sequences. Several labelled: the least sure."""
    assert sureness(BOOLQ, np.array([[0.0, 2.0]], np.float32), np.array([0, 1])) == pytest.approx(
        [0.8808], abs=1e-4
    )
    copa = get_task("copa")
    scores = np.array([[1.0], [3.0], [5.0], [5.0]], np.float32)
    assert sureness(copa, scores, np.array([0, 2, 4])) == pytest.approx([0.8808, 0.5], abs=1e-4)
    both = np.array([[0.0, 2.0], [0.0, 0.0]], np.float32)
    assert sureness(BOOLQ, both, np.array([0, 2])) == pytest.approx([0.5])
    assert sureness(BOOLQ, np.zeros((0, 2), np.float32), np.array([0, 0])) == pytest.approx([1.0])


def test_by_entropy_a_tie_is_0_and_no_warning_is_1() -> None:
    """Shares of 1/2, 1/4, 1/4: H = 1.5 ln 2, of ln 3 at most, so 1 - 1.5 ln 2 / ln 3 = 0.0536."""
    cb = get_task("cb")
    logits = np.log(np.array([[2.0, 1.0, 1.0], [1.0, 1.0, 1.0]])).astype(np.float32)
    found = sureness(cb, logits, np.array([0, 1, 2]), "entropy")
    assert found == pytest.approx([0.0536, 0.0], abs=1e-4)
    certain = np.array([[99.0, 0.0, 0.0]], np.float32)
    assert sureness(cb, certain, np.array([0, 1]), "entropy") == pytest.approx([1.0])
    copa = get_task("copa")
    scores = np.array([[5.0], [5.0], [7.0]], np.float32)
    assert sureness(copa, scores, np.array([0, 2, 3]), "entropy") == pytest.approx([0.0, 1.0], abs=1e-6)


GOLD = tuple("true" if number % 2 else "false" for number in range(8))
QUESTIONS = [Example(str(number), tiny.examples(1)[0].inputs, (gold,)) for number, gold in enumerate(GOLD)]


def stages() -> list[StageOutcome]:
    """Return a small stage that is right where it is sure (the first half), and a large one that is right."""
    wrong = tuple("false" if gold == "true" else "true" for gold in GOLD)
    sure = np.array([0.99, 0.98, 0.97, 0.96, 0.6, 0.59, 0.58, 0.57])
    losses = np.array([0.0, 0.0, 0.0, 0.0, 0.2, 0.2, 0.2, 0.2])
    return [
        StageOutcome((*GOLD[:4], *wrong[4:]), sure, losses, 1.0),
        StageOutcome(GOLD, np.ones(8), np.zeros(8), 10.0),
    ]


def test_the_cheapest_thresholds_within_the_loss_are_chosen() -> None:
    """Half of the examples are answered by the small stage: 1 + 0.5 * 10 = 6 seconds instead of 11."""
    points = curve(BOOLQ, QUESTIONS, stages())
    exact = choose(points, full=1.0, loss=0.0)
    assert (exact.quality, exact.seconds, exact.shares) == (1.0, 6.0, (0.5, 0.5))
    loose = choose(points, full=1.0, loss=25.0)
    assert loose.quality >= 0.75
    assert loose.seconds < exact.seconds
    never = next(point for point in points if point.thresholds == (NEVER,))
    assert (never.seconds, never.shares) == (11.0, (0.0, 1.0))


def test_a_stage_that_is_never_sure_is_left_out_of_a_cascade() -> None:
    """It costs nothing then: 10 seconds for the last alone, less than 1 + 10 for a stage that answers nobody.

    Where a stage would have to be right more often than it is, that is what is chosen.
    """
    small, large = stages()
    points = curve(BOOLQ, QUESTIONS, [replace(small, losses=np.full(8, 0.5)), large], left_out=True)
    found = choose(points, full=1.0, loss=0.0)
    assert (found.thresholds, found.seconds, found.shares) == ((NEVER,), 10.0, (0.0, 1.0))
    first, last = Said({"a": 3.0}, []), Said({"a": -1.0}, [])
    system = CascadeSystem(BOOLQ, [first, last], [NEVER])
    answered = system.predict(system.encode(examples("a")))
    assert (first.asked, last.asked) == ([], ["a"])
    assert answered.costs["stage"].tolist() == [2]


def test_a_point_that_only_the_labels_like_is_not_chosen() -> None:
    """By labels the small stage is right in the second half, too; by probabilities a fifth of each is lost.

    One of eight answers: 2.5 points, and seven zeros with one 20 have a standard error of 2.5.
    """
    small, large = stages()
    lucky = [StageOutcome(GOLD, small.sureness, small.losses, 1.0), large]
    points = curve(BOOLQ, QUESTIONS, lucky)
    assert all(point.quality == 1.0 for point in points)
    assert choose(points, full=1.0, loss=0.0).shares == (0.5, 0.5)
    one_more = next(point for point in points if point.shares == (0.625, 0.375))
    assert (one_more.loss, one_more.loss_error) == (pytest.approx(2.5), pytest.approx(2.5))
    assert choose(points, full=1.0, loss=5.0 - 1e-6).shares == (0.5, 0.5)
    assert choose(points, full=1.0, loss=5.0).shares == (0.625, 0.375)


def test_where_nothing_is_good_enough_what_loses_least_is_taken() -> None:
    """Of a cascade, passing everything on is always good enough; schedules of a model may all be too bad."""
    bad = [point for point in curve(BOOLQ, QUESTIONS, stages()) if point.shares[0] > 0.5]
    found = choose(bad, full=1.0, loss=0.0)
    assert found.loss == min(point.loss for point in bad)
    assert not within(found, 1.0, 0.0)


@given(st.integers(0, 2**32 - 1))
def test_the_front_has_no_point_that_a_cheaper_one_matches(seed: int) -> None:
    """In quality and in expected loss; and all that is left out is matched by one that is kept."""
    rng = np.random.default_rng(seed)
    points = [
        ThresholdChoice((), *rng.integers(0, 4, 2).astype(float), (), float(rng.integers(0, 4)), 0.0)
        for _ in range(12)
    ]
    kept = front(points)
    assert [point.seconds for point in kept] == sorted(point.seconds for point in kept)

    def matches(one: ThresholdChoice, other: ThresholdChoice) -> bool:
        return one.seconds <= other.seconds and one.quality >= other.quality and one.loss <= other.loss

    assert not any(matches(one, other) for one in kept for other in kept if one is not other)
    assert all(any(matches(one, other) for one in kept) for other in points)


def test_three_stages_pass_on_in_order() -> None:
    """The first that is sure answers, else the last."""
    sure = [np.array([0.9, 0.1, 0.1]), np.array([0.1, 0.9, 0.1]), np.ones(3)]
    assert stages_of(sure, (0.5, 0.5)).tolist() == [0, 1, 2]


def trained(folder: Path) -> PreparationSources:
    """Return sources whose training split has 60 examples."""
    return replace(tiny.sources(folder), training=lambda: tiny.examples(60), training_sha256="c" * 64)


def test_a_cascade_is_prepared_calibrated_and_loaded(boolq_folder: Path, tmp_path: Path) -> None:
    """Its manifest says on how many held-out examples, what each stage does alone, and the whole curve."""
    variant = CascadeVariant("both", "", (DYNAMIC, FIXED), loss=0.0)
    artifact = variant.prepare(BOOLQ, trained(boolq_folder), tiny.SHORT, tiny.workshop(tmp_path))
    found = artifact.manifest["calibration"]
    held_out = split_for_selection(tiny.examples(60), 0)[1]
    assert found["examples"] == len(held_out) == 6
    assert found["data_sha256"] == "c" * 64
    assert found["full_seconds"] == found["seconds_alone"][-1]
    # both stages are the same model, so the first may answer everything
    assert found["chosen"]["shares"] == [1.0, 0.0]
    assert found["stages_alone"][0] == found["stages_alone"][1]
    system = variant.load(BOOLQ, artifact, tiny.CPU, tiny.SHORT)
    asked = tiny.examples(5)
    alone = DYNAMIC.load(
        BOOLQ, DYNAMIC.prepare(BOOLQ, tiny.sources(boolq_folder), tiny.SHORT, tiny.workshop(tmp_path)),
        tiny.CPU, tiny.SHORT,
    )  # fmt: skip
    np.testing.assert_allclose(
        system.predict(system.encode(asked)).logits, alone.predict(alone.encode(asked)).logits, atol=1e-5
    )
    said = system.describe()
    assert said["thresholds"] == artifact.manifest["thresholds"]
    assert len(said["stages"]) == 2


def test_threads_of_a_stage_rest_while_the_next_one_works(boolq_folder: Path, tmp_path: Path) -> None:
    """Those of ONNX Runtime would spin on for a while, on the cores that the next stage needs."""
    variant = CascadeVariant("both", "", (OnnxVariant(), OnnxVariant()), thresholds=(0.5,))
    artifact = variant.prepare(BOOLQ, tiny.sources(boolq_folder), tiny.SHORT, tiny.workshop(tmp_path))
    system = variant.load(BOOLQ, artifact, tiny.CPU, tiny.SHORT)
    assert [stage["rests_between_calls"] for stage in system.describe()["stages"]] == [True, True]
    system.close()


def test_at_never_a_cascade_is_its_last_stage(tmp_path: Path) -> None:
    """No calibration is needed, nor training examples."""
    other = tiny.tiny_checkpoint(tmp_path / "other", seed=5)
    first = variant_of({"name": "a", "recipes": [], "engine": "pytorch-dynamic"})
    variant = CascadeVariant("both", "", (first, FIXED), thresholds=("never",))
    shop = tiny.workshop(tmp_path / "cache")
    artifact = variant.prepare(BOOLQ, tiny.sources(other), tiny.SHORT, shop)
    system = variant.load(BOOLQ, artifact, tiny.CPU, tiny.SHORT)
    found = system.predict(system.encode(tiny.examples(5)))
    assert set(found.costs["stage"]) == {2.0}
    with pytest.raises(UsageError, match="training examples"):
        replace(variant, thresholds=()).prepare(BOOLQ, tiny.sources(other), tiny.SHORT, shop)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stages": (DYNAMIC,)}, "at least two"),
        ({"thresholds": (0.5, 0.5)}, "1 for 2 stages"),
        ({"thresholds": (1.5,)}, "no threshold"),
        ({"thresholds": ("often",)}, "no threshold"),
        ({"loss": -1.0}, "loss"),
        ({"criterion": "patience"}, "criterion"),
    ],
)
def test_what_is_no_cascade_is_refused(changes: dict[str, Any], message: str) -> None:
    """Before anything is prepared."""
    words: dict[str, Any] = {"stages": (DYNAMIC, FIXED), **changes}
    with pytest.raises(UsageError, match=message):
        CascadeVariant("x", "", **words)


def rungs(*words: dict[str, Any]) -> Any:
    """Return a ladder of these rungs."""
    return parse_ladder({"name": "mine", "rungs": list(words)}, "mine.yaml", {})


PLAIN = {"name": "plain", "engine": "pytorch-dynamic"}
SMALL = {"name": "small", "engine": "onnx-int8", "recipes": [{"distil": {"student": "layers:half"}}]}


def test_a_rung_names_its_stages_among_earlier_rungs(boolq_folder: Path) -> None:
    """It is compared with its last stage, the full model, unless it says otherwise."""
    ladder = rungs(
        PLAIN,
        SMALL,
        {"name": "both", "cascade": ["small", "plain"], "options": {"loss": 1.0, "criterion": "entropy"}},
    )
    rung = ladder.rung("both")
    assert rung.over == "plain"
    made = variant_of(rung.words())
    assert [stage.name for stage in made.engine.stages] == ["small", "plain"]  # type: ignore[attr-defined]
    assert (made.engine.loss, made.engine.criterion) == (1.0, "entropy")  # type: ignore[attr-defined]
    del boolq_folder


@pytest.mark.parametrize(
    ("rung", "message"),
    [
        ({"name": "x", "cascade": ["small", "plian"]}, "earlier rung"),
        ({"name": "x", "cascade": ["small", "plain"], "engine": "onnx-fp32"}, "stages say"),
        ({"name": "x", "stages": [{}], "cascade": ["small"]}, "as `cascade`"),
    ],
)
def test_a_misspelt_cascade_is_refused(rung: dict[str, Any], message: str) -> None:
    """With what is wrong."""
    with pytest.raises(UsageError, match=message):
        rungs(PLAIN, SMALL, rung)


def test_an_unknown_option_of_a_cascade_is_refused() -> None:
    """With the nearest name."""
    ladder = rungs(PLAIN, SMALL, {"name": "x", "cascade": ["small", "plain"], "options": {"los": 1}})
    with pytest.raises(UsageError, match="option of a cascade"):
        variant_of(ladder.rung("x").words())


def test_settings_are_not_shared_between_batches(boolq_folder: Path, tmp_path: Path) -> None:
    """In one call or one by one: the same answers."""
    variant = CascadeVariant("both", "", (DYNAMIC, FIXED), thresholds=(0.7,))
    artifact = variant.prepare(BOOLQ, tiny.sources(boolq_folder), Settings(32, 1), tiny.workshop(tmp_path))
    system = variant.load(BOOLQ, artifact, tiny.CPU, Settings(32, 1))
    requests = system.encode(tiny.examples(6))
    together = system.predict(requests).logits
    alone = np.concatenate([system.predict([request]).logits for request in requests])
    np.testing.assert_allclose(together, alone, atol=1e-5)

from typing import Any

import pytest
from records import a_quality, a_record, an_accuracy

from harness.analysis.statistics import quality_change
from harness.analysis.statistics.pairing import NotComparable
from harness.analysis.statistics.quality_change import PairedAnswers, QualityChange
from harness.records.estimate import Estimate
from harness.workload.tasks import get_task
from harness.workload.tasks.example import Example


def test_quality_changes_in_points_and_unpaired_intervals_combine() -> None:
    """0.80 [0.77, 0.83] minus 0.88 [0.86, 0.90] is -8 points.

    Newcombe: below by the root of 0.03^2 + 0.02^2 = 0.036056, above by the same.
    """
    system = a_record("fast", quality=a_quality(metrics={"accuracy": an_accuracy(0.80, 0.77, 0.83)}))
    change = quality_change.quality_change(system, a_record())
    assert isinstance(change, QualityChange)
    assert (change.points.low, change.points.value, change.points.high) == pytest.approx(
        (-11.6056, -8, -4.3944), abs=1e-4
    )
    assert not change.paired
    assert change.note.startswith("unpaired")


def test_equal_answers_are_no_change_of_quality() -> None:
    """Equal hashes mean equal answers: the change is 0, with an interval of no width."""
    same = a_quality(answers_sha256="9" * 64)
    change = quality_change.quality_change(a_record("fast", quality=same), a_record(quality=same))
    assert isinstance(change, QualityChange)
    assert (change.points.low, change.points.value, change.points.high) == (0, 0, 0)
    assert change.paired


def test_answers_to_the_same_examples_pair_the_change_of_quality() -> None:
    """The reference is right on 80 of 100, the system on 78 of these: -2 points, and never above 0."""
    task = get_task("boolq")
    examples = [Example(str(at), (), ("true",)) for at in range(100)]
    answers = PairedAnswers(
        system=task.scoring.by_cluster(examples, ["true"] * 78 + ["false"] * 22),
        reference=task.scoring.by_cluster(examples, ["true"] * 80 + ["false"] * 20),
    )
    change = quality_change.quality_change(a_record("fast"), a_record(), answers=answers, task=task)
    assert isinstance(change, QualityChange)
    assert change.paired
    assert change.points.value == pytest.approx(-2)
    assert -8 < change.points.low < change.points.high <= 0


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"quality": None}, "quality"),
        ({"quality": a_quality(metrics={}, unavailable="the model is untrained")}, "quality"),
        ({"quality": a_quality(untimed=0)}, "scored examples"),
        ({"data": {"fingerprint": "e" * 64}}, "data fingerprint"),
        ({"cell": {"max_length": 64}}, "maximum length"),
    ],
)
def test_quality_is_only_compared_where_both_answered_the_same(changes: dict[str, Any], field: str) -> None:
    """Other data, another maximum length or no score at all: no change, and the field that differs."""
    for pair in ((a_record("fast", **changes), a_record()), (a_record(), a_record("fast", **changes))):
        change = quality_change.quality_change(*pair)
        assert isinstance(change, NotComparable)
        assert change.field == field


def test_quality_is_compared_across_runs_and_threads() -> None:
    """Answers do not depend on when and on how many threads they were given."""
    other = a_record("fast", run="r2", cell={"threads": 1, "group": "other"})
    assert isinstance(quality_change.quality_change(other, a_record()), QualityChange)


def answered(right: int, of: int = 100) -> list[str]:
    """Return answers to `of` true questions of which the first `right` are right."""
    return ["true"] * right + ["false"] * (of - right)


def kept(system: int, reference: int, majority: float) -> Estimate | NotComparable:
    task = get_task("boolq")
    examples = [Example(str(at), (), ("true",)) for at in range(100)]
    counts = [task.scoring.by_cluster(examples, answered(right)) for right in (system, reference)]
    data = {"majority": majority}
    return quality_change.kept_gain(
        a_record("fast", quality=a_quality(), data=data),
        a_record(quality=a_quality(), data=data),
        answers=PairedAnswers(*counts),
        task=task,
    )


def test_the_kept_gain_is_relative_to_the_constant_answer() -> None:
    """90 right instead of 95, where a constant answer gets 75: 15 of 20 points, three quarters."""
    change = kept(90, 95, 0.75)
    assert isinstance(change, Estimate)
    assert change.value == pytest.approx(0.75)
    assert change.low < 0.75 < change.high <= 1


@pytest.mark.parametrize("reference", [75, 74, 77])
def test_a_gain_that_may_be_zero_has_no_kept_share(reference: int) -> None:
    """Two points above the constant answer, of a hundred examples, are none in some resamples."""
    change = kept(70, reference, 0.75)
    assert isinstance(change, NotComparable)
    assert "too small" in change.reason

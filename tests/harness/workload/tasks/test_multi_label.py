"""Tasks with any number of labels per example: decisions, metrics, thresholds, prediction files."""

import json
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score

from harness.common.errors import DataError
from harness.workload.data.source import Split
from harness.workload.tasks.base import constant_answers
from harness.workload.tasks.custom import CustomTaskDefinition, Metric, custom_task
from harness.workload.tasks.example import Example
from harness.workload.tasks.multi_label import THRESHOLDS, MultiLabelTask, calibrate_threshold
from harness.workload.tasks.prediction_files import read_predictions

LABELS = ("toxic", "insult", "threat")
METRICS: tuple[Metric, ...] = ("micro-f1", "macro-f1", "subset-accuracy")

sets = st.text("01", min_size=3, max_size=3)
pairs_of_sets = st.lists(st.tuples(sets, sets), min_size=1, max_size=12)


def task_of(metric: Metric = "micro-f1", threshold: float = 0.5) -> MultiLabelTask:
    definition = CustomTaskDefinition(LABELS, metric, multi_label=True, threshold=threshold)
    task = custom_task(definition)
    assert isinstance(task, MultiLabelTask)
    return task


def with_gold(*gold: str) -> list[Example]:
    """Return an example for each set of labels."""
    return [Example(str(index), (), (digits,)) for index, digits in enumerate(gold)]


def bits(column: list[str]) -> np.ndarray:
    return np.array([[int(digit) for digit in digits] for digits in column])


def scikit_learn(name: str, gold: list[str], answers: list[str]) -> float:
    if name == "subset_accuracy":
        return float(accuracy_score(bits(gold), bits(answers)))
    average = name.removesuffix("_f1")
    return float(f1_score(bits(gold), bits(answers), average=average, zero_division=0))


def test_the_metrics_of_a_worked_example() -> None:
    """Of 7 labels that hold and 5 that are answered, 5 are both; two of four examples are right.

    Micro F1 2 x 5 / (7 + 5). By label: toxic 2 x 3 / (3 + 3), insult 2 x 2 / (3 + 2), threat, never
    answered, 0.
    """
    gold, answers = ["110", "111", "000", "110"], ["110", "110", "000", "100"]
    scores = task_of().scoring(with_gold(*gold), answers)
    assert scores == pytest.approx(
        {"micro_f1": 10 / 12, "macro_f1": (1 + 4 / 5 + 0) / 3, "subset_accuracy": 2 / 4}
    )


@settings(deadline=None, max_examples=50)
@given(pairs_of_sets)
def test_metrics_agree_with_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    """Whatever the sets, empty ones and labels that never hold included."""
    gold, answers = ([pair[side] for pair in pairs] for side in (0, 1))
    scores = task_of().scoring(with_gold(*gold), answers)
    assert scores == pytest.approx({name: scikit_learn(name, gold, answers) for name in scores})


@given(pairs_of_sets)
def test_counts_of_examples_add_up(pairs: list[tuple[str, str]]) -> None:
    """The sum over examples has the rates of all of them, so that intervals can resample rows."""
    gold, answers = ([pair[side] for pair in pairs] for side in (0, 1))
    scoring, examples = task_of().scoring, with_gold(*gold)
    counts = scoring.by_cluster(examples, answers)
    assert counts.shape == (len(pairs), 2 + 3 * len(LABELS))
    assert scoring.rates(counts.sum(axis=0)) == pytest.approx(scoring(examples, answers))


@pytest.mark.parametrize("metric", METRICS)
def test_the_metric_that_the_user_names_is_the_primary_one_and_the_single_score(metric: Metric) -> None:
    """All three are reported; a model's epoch is selected by the named one, and not by a mean."""
    scoring = task_of(metric).scoring
    name = metric.replace("-", "_")
    assert scoring.metrics[0] == name
    assert set(scoring.metrics) == {"micro_f1", "macro_f1", "subset_accuracy"}
    scores = scoring(with_gold("100", "011"), ["100", "010"])
    assert scoring.single(scores) == scores[name]


@settings(deadline=None, max_examples=30)
@given(st.lists(sets, min_size=1, max_size=8), st.sampled_from(METRICS))
def test_the_best_constant_answer_is_the_best_of_all_sets(gold: list[str], metric: Metric) -> None:
    """A few candidates suffice: the best of all eight sets of three labels is never better."""
    task, examples = task_of(metric), with_gold(*gold)
    split = Split("val", task, "local", tuple(examples), "", None, None)
    every_set = ["".join(digits) for digits in product("01", repeat=3)]
    name = metric.replace("-", "_")
    best = max(scikit_learn(name, gold, [digits] * len(gold)) for digits in every_set)
    assert split.majority == pytest.approx(best)
    assert len(list(constant_answers(task, examples))) <= len(LABELS) + 2


@given(
    st.lists(st.lists(st.floats(-8, 8, width=32), min_size=3, max_size=3), min_size=1, max_size=6),
    st.sampled_from((0.05, 0.3, 0.5, 0.81)),
)
def test_a_label_holds_from_the_threshold_on(rows: list[list[float]], threshold: float) -> None:
    """As numpy's sigmoid in float64 decides, where rounding cannot."""
    logits = np.array(rows, dtype=np.float32)
    probabilities = 1 / (1 + np.exp(-logits.astype(np.float64)))
    decided = bits(task_of(threshold=threshold).decide(logits, np.arange(len(rows) + 1)))
    clear = np.abs(probabilities - threshold) > 1e-12
    assert (decided == (probabilities >= threshold))[clear].all()


def test_at_one_half_the_sign_decides_and_zero_holds() -> None:
    """The default threshold is the logit 0 exactly, in any precision."""
    tiny = np.finfo(np.float32).smallest_subnormal
    logits = np.array([[-tiny, 0.0, tiny]], dtype=np.float32)
    assert task_of().decide(logits, np.array([0, 1])) == ["011"]


def test_no_requests_have_no_answers() -> None:
    """An empty call is answered."""
    assert task_of().decide(np.zeros((0, 3), np.float32), np.array([0])) == []


@settings(deadline=None, max_examples=6)
@given(pairs_of_sets, st.sampled_from(METRICS), st.integers(0, 2**16))
def test_calibration_finds_the_best_threshold(
    pairs: list[tuple[str, str]], metric: Metric, seed: int
) -> None:
    """By scikit-learn, no other of the 99 thresholds is better; of equals it is the nearest to one half."""
    gold = [pair[0] for pair in pairs]
    logits = np.random.default_rng(seed).normal(size=(len(gold), 3)).astype(np.float32)
    probabilities = 1 / (1 + np.exp(-logits.astype(np.float64)))
    name = metric.replace("-", "_")

    def score(threshold: float) -> float:
        answers = ["".join(str(int(value >= threshold)) for value in row) for row in probabilities]
        return scikit_learn(name, gold, answers)

    by_threshold = {threshold: score(threshold) for threshold in THRESHOLDS}
    calibration = calibrate_threshold(task_of(metric), with_gold(*gold), logits)
    assert calibration.score == pytest.approx(max(by_threshold.values()))
    assert calibration.score == pytest.approx(by_threshold[calibration.threshold])
    assert calibration.score_at_half == pytest.approx(by_threshold[0.5])
    assert (calibration.metric, calibration.examples) == (name, len(gold))
    nearer = [t for t in THRESHOLDS if abs(t - 0.5) < abs(calibration.threshold - 0.5) - 1e-9]
    assert all(by_threshold[threshold] < calibration.score for threshold in nearer)


def test_a_row_is_read_with_all_none_or_no_list_of_labels(tmp_path: Path) -> None:
    """An empty list is gold; a row without the field has none."""
    path = tmp_path / "val.jsonl"
    rows = [
        {"first": "a", "label": ["threat", "toxic"], "idx": 7},
        {"first": "b", "label": [], "idx": 8},
        {"first": "c", "idx": 9},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    examples = task_of().read(path, labelled=True)
    assert [(example.id, example.gold) for example in examples] == [
        ("7", ("101",)),
        ("8", ("000",)),
        ("9", ()),
    ]
    assert task_of().targets(examples[0]) == (1, 0, 1)


def test_a_label_that_the_task_does_not_have_is_refused_with_its_line(tmp_path: Path) -> None:
    """In a row of the data."""
    path = tmp_path / "val.jsonl"
    path.write_text('{"first": "a", "label": ["rude"]}\n')
    with pytest.raises(DataError, match="labels must be among toxic, insult, threat, got") as refused:
        task_of().read(path, labelled=True)
    assert refused.value.where == f"{path}:1"


@given(st.lists(sets, min_size=1, max_size=6))
def test_written_predictions_are_read_back(answers: list[str]) -> None:
    """The names of the labels that hold stand in a row; an empty list is an answer."""
    task, examples = task_of(), with_gold(*answers)
    rows = task.answer_rows(examples, answers)
    assert rows[0] == {
        "idx": 0,
        "label": [name for name, digit in zip(LABELS, answers[0], strict=True) if digit == "1"],
    }
    assert [answer for _, answer in task.answers_in(rows, examples)] == answers
    assert all(task.valid(answer, example) for answer, example in zip(answers, examples, strict=True))


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("toxic", "the label must be a list of labels, got"),
        (["rude"], "labels must be among toxic, insult, threat, got"),
        ([1], "labels must be among"),
        ([["toxic"]], "labels must be among"),
        (["toxic", "toxic"], "each label may be listed once"),
        (None, "the label must be a list of labels, got null"),
    ],
)
def test_a_row_of_predictions_that_is_no_list_of_labels_is_refused(
    tmp_path: Path, label: object, message: str
) -> None:
    """With the line, and where the form is shown."""
    path = tmp_path / "p.jsonl"
    path.write_text(json.dumps({"idx": 0, "label": label}) + "\n")
    with pytest.raises(DataError, match=message) as refused:
        read_predictions(task_of(), path, with_gold("000"))
    assert refused.value.where == f"{path}:1"


def test_what_an_external_program_may_answer() -> None:
    """A 0 or 1 for each label, and nothing else."""
    (example,) = with_gold("000")
    answers = ("010", "01", "0101", "toxic", "", "012")
    assert [task_of().valid(answer, example) for answer in answers] == [
        True,
        False,
        False,
        False,
        False,
        False,
    ]


def test_another_threshold_leaves_gold_and_scores_alone() -> None:
    """It decides answers only, so counts of records with different thresholds can be compared."""
    low, high = task_of(threshold=0.1), task_of(threshold=0.9)
    examples, answers = with_gold("101", "010"), ["100", "010"]
    assert low.scoring(examples, answers) == high.scoring(examples, answers)
    assert replace(low, threshold=0.9).threshold == high.threshold

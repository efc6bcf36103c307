import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from harness.common.errors import DataError, UsageError
from harness.workload.tasks import TASKS, get_task
from harness.workload.tasks.example import Example

BOOLQ = get_task("boolq")
CB = get_task("cb")
RTE = get_task("rte")


def write(folder: Path, *lines: str) -> Path:
    path = folder / "val.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_boolq_puts_the_passage_first_and_names_its_labels(tmp_path: Path) -> None:
    """Truncation of the first text then leaves the question whole."""
    row = {"question": "is it", "passage": "It -- It is.", "idx": 7, "label": True}
    (example,) = BOOLQ.read(write(tmp_path, json.dumps(row)), labelled=True)
    assert (example.id, example.gold) == ("7", ("true",))
    assert (example.inputs[0].first, example.inputs[0].second) == ("It -- It is.", "is it")


def test_a_test_split_is_read_without_labels(tmp_path: Path) -> None:
    """The official test files hide them."""
    row = {"premise": "A", "hypothesis": "B", "idx": 0}
    (example,) = RTE.read(write(tmp_path, json.dumps(row)), labelled=False)
    assert example.gold == ()


def test_the_last_line_needs_no_newline(tmp_path: Path) -> None:
    """Several official files end without one."""
    row = json.dumps({"premise": "A", "hypothesis": "B", "label": "neutral"})
    assert len(CB.read(write(tmp_path, row, row), labelled=True)) == 2


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_may_end_as_on_any_system(tmp_path: Path, end: str) -> None:
    """Line numbers in errors are the same."""
    row = json.dumps({"premise": "A", "hypothesis": "B", "label": "neutral"})
    path = tmp_path / "val.jsonl"
    path.write_bytes(end.join([row, "", row, ""]).encode())
    assert len(CB.read(path, labelled=True)) == 2
    path.write_bytes(end.join([row, "", "[]", ""]).encode())
    with pytest.raises(DataError, match=r"val\.jsonl:3: a row must be a JSON object"):
        CB.read(path, labelled=True)


@pytest.mark.parametrize(
    ("lines", "place", "message"),
    [
        (
            ['{"question": "q", "passage": "p", "idx": 0, "label": true}', '{"question": "q'],
            ":2",
            "truncated",
        ),
        (["not json", "{}"], ":1", "not JSON"),
        (["[1]"], ":1", "a row must be a JSON object, got a list"),
        (["[", '{"question": "q"}', "]"], ":1", "Write one JSON object on each line, instead of one list"),
        (['{"question": "q", "question": "p"}'], ":1", "the field 'question' is there twice"),
        (['{"question": NaN}'], ":1", "NaN is not a number in JSON"),
        (['{"question": 1e999}'], ":1", "a number is too large (1e999)"),
        (['{"question": -9223372036854775808}'], ":1", "a whole number is beyond 64 bits"),
        (['{"question": ' + "[" * 101 + "]" * 101 + "}"], ":1", "nested more than 100 levels deep"),
        (['{"question": "q", "idx": 0, "label": true}'], ":1", "the field 'passage' is missing"),
        (
            ['{"question": "q", "passage": 3, "idx": 0, "label": true}'],
            ":1",
            "'passage' must be text, got a whole number",
        ),
        (
            ['{"question": "q", "passage": "p", "idx": 0, "label": "maybe"}'],
            ":1",
            'the label must be one of false, true, got "maybe"',
        ),
        (
            ['{"question": "q", "passage": "p", "idx": 0, "label": 1}'],
            ":1",
            "the label must be one of false, true, got 1",
        ),
        (["", "  "], "val.jsonl", "the file has no rows"),
    ],
)
def test_an_error_in_a_row_names_file_and_line(
    tmp_path: Path, lines: list[str], place: str, message: str
) -> None:
    """One message with both."""
    with pytest.raises(DataError) as caught:
        BOOLQ.read(write(tmp_path, *lines), labelled=True)
    assert message in str(caught.value)
    assert caught.value.where is not None
    assert caught.value.where.endswith(place)


def test_the_error_of_a_missing_file_describes_the_folder(tmp_path: Path) -> None:
    """The remedy shows the official layout."""
    with pytest.raises(DataError, match="official layout"):
        BOOLQ.read(tmp_path / "none.jsonl", labelled=True)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"idx": 3}, {"idx": 4}, {"idx": 3}], "val.jsonl:3: idx 3 is there twice, also on line 1"),
        ([{"idx": 3}, {"idx": "3"}], "val.jsonl:2: idx 3 is there twice, also on line 1"),
        ([{"idx": 2}, {}], "val.jsonl:2: idx 2 is there twice, also on line 1"),
    ],
)
def test_two_rows_of_one_idx_are_refused_with_both_lines(
    tmp_path: Path, rows: list[dict[str, Any]], message: str
) -> None:
    """No prediction file could answer both; a row without idx has the number of its line."""
    row = {"premise": "A", "hypothesis": "B", "label": "neutral"}
    lines = [json.dumps(row | idx) for idx in rows]
    with pytest.raises(DataError) as caught:
        CB.read(write(tmp_path, *lines), labelled=True)
    assert message in str(caught.value)


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    """A gzip file with the name of a jsonl file."""
    path = tmp_path / "val.jsonl"
    path.write_bytes(b"\x1f\x8b\x08\x00\xff")
    with pytest.raises(DataError, match="not UTF-8"):
        BOOLQ.read(path, labelled=True)


def with_gold(*gold: str) -> list[Example]:
    """Return an example without text for each label."""
    return [Example(str(number), (), (label,)) for number, label in enumerate(gold)]


def test_the_answer_is_the_label_with_the_highest_logit() -> None:
    """Columns have the order of the task's labels; of equals, the first wins."""
    logits = np.array([[0.1, 0.2, -1.0], [3.0, 1.0, 2.0], [1.0, 1.0, 0.0]], dtype=np.float32)
    assert CB.decide(logits, np.arange(4)) == ["contradiction", "entailment", "entailment"]


def test_accuracy_is_the_share_of_correct_answers() -> None:
    """Two of four."""
    examples = with_gold("true", "false", "true", "true")
    assert BOOLQ.scoring(examples, ["true", "true", "false", "true"]) == {"accuracy": 0.5}


def test_cb_macro_f1_is_the_unweighted_mean_over_three_labels() -> None:
    """Entailment: precision 1/2, recall 1: F1 2/3. Contradiction: 1, 1/2: 2/3. Neutral: 0.

    Their mean is 4/9, and three of five answers are correct.
    """
    examples = with_gold("entailment", "contradiction", "contradiction", "neutral", "entailment")
    answers = ["entailment", "contradiction", "entailment", "entailment", "entailment"]
    # entailment: 2 of 4 answers correct, 2 of 2 examples found: precision 1/2, recall 1, F1 2/3
    scores = CB.scoring(examples, answers)
    assert scores["accuracy"] == pytest.approx(3 / 5)
    assert scores["macro_f1"] == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)


def test_a_label_without_gold_and_answers_counts_zero() -> None:
    """As in the official script, a split without neutral examples cannot reach a macro F1 of 1."""
    gold = ["entailment", "contradiction"]
    assert CB.scoring(with_gold(*gold), gold)["macro_f1"] == pytest.approx(2 / 3)


@given(st.lists(st.tuples(st.sampled_from(CB.labels), st.sampled_from(CB.labels)), min_size=1))
def test_macro_f1_agrees_with_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    """For any answers: over all three labels, with 0 for absent ones."""
    gold, answers = ([pair[side] for pair in pairs] for side in (0, 1))
    expected = f1_score(gold, answers, labels=CB.labels, average="macro", zero_division=0.0)
    assert CB.scoring(with_gold(*gold), answers)["macro_f1"] == pytest.approx(expected)


def test_scoring_refuses_answers_that_do_not_match_the_examples() -> None:
    """One answer per example, and at least one."""
    with pytest.raises(ValueError, match="1 answers to 2"):
        BOOLQ.scoring(with_gold("true", "false"), ["true"])


def test_prediction_rows_have_the_official_form() -> None:
    """BoolQ's labels are strings there, not booleans."""
    assert BOOLQ.answer_rows([Example("3", ())], ["true"]) == [{"idx": 3, "label": "true"}]


def test_an_unknown_task_is_an_error_with_the_nearest_name() -> None:
    """Every task is found under its own name."""
    assert all(get_task(name).name == name for name in TASKS)
    with pytest.raises(UsageError, match="Did you mean boolq"):
        get_task("bolq")

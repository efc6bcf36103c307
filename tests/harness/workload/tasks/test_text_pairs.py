import json
from pathlib import Path

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


def written(folder: Path, *lines: str) -> Path:
    path = folder / "val.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_boolq_puts_the_passage_first_and_names_its_labels(tmp_path: Path) -> None:
    """Truncating the first text then leaves the question whole."""
    row = {"question": "is it", "passage": "It -- It is.", "idx": 7, "label": True}
    (example,) = BOOLQ.read(written(tmp_path, json.dumps(row)), labelled=True)
    assert (example.id, example.gold) == ("7", ("true",))
    assert (example.inputs[0].first, example.inputs[0].second) == ("It -- It is.", "is it")


def test_a_test_split_is_read_without_labels(tmp_path: Path) -> None:
    """The official test files hide them."""
    row = {"premise": "A", "hypothesis": "B", "idx": 0}
    (example,) = RTE.read(written(tmp_path, json.dumps(row)), labelled=False)
    assert example.gold == ()


def test_a_last_line_without_a_newline_is_a_row(tmp_path: Path) -> None:
    """Several official files end so."""
    row = json.dumps({"premise": "A", "hypothesis": "B", "idx": 0, "label": "neutral"})
    assert len(CB.read(written(tmp_path, row, row), labelled=True)) == 2


@pytest.mark.parametrize(
    ("lines", "place", "words"),
    [
        (
            ['{"question": "q", "passage": "p", "idx": 0, "label": true}', '{"question": "q'],
            ":2",
            "truncated",
        ),
        (["not json", "{}"], ":1", "not JSON"),
        (["[1]"], ":1", "a row is a JSON object, not list"),
        (['{"question": "q", "idx": 0, "label": true}'], ":1", "the field 'passage' is missing"),
        (['{"question": "q", "passage": 3, "idx": 0, "label": true}'], ":1", "'passage' is int, not text"),
        (['{"question": "q", "passage": "p", "idx": 0, "label": "maybe"}'], ":1", 'label "maybe"'),
        (['{"question": "q", "passage": "p", "idx": 0, "label": 1}'], ":1", "label 1 is not one of BoolQ's"),
        (["", "  "], "val.jsonl", "the file has no rows"),
    ],
)
def test_a_bad_row_is_named_with_its_file_and_line(
    tmp_path: Path, lines: list[str], place: str, words: str
) -> None:
    """One message: what happened, and where."""
    with pytest.raises(DataError) as caught:
        BOOLQ.read(written(tmp_path, *lines), labelled=True)
    assert words in str(caught.value)
    assert caught.value.where is not None
    assert caught.value.where.endswith(place)


def test_a_missing_file_says_what_the_folder_should_look_like(tmp_path: Path) -> None:
    """The remedy names the official layout."""
    with pytest.raises(DataError, match="official layout"):
        BOOLQ.read(tmp_path / "none.jsonl", labelled=True)


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    """A gzip file under a jsonl name is no data."""
    path = tmp_path / "val.jsonl"
    path.write_bytes(b"\x1f\x8b\x08\x00\xff")
    with pytest.raises(DataError, match="not UTF-8"):
        BOOLQ.read(path, labelled=True)


def having(*gold: str) -> list[Example]:
    """Return an example without text for each label."""
    return [Example(str(number), (), (label,)) for number, label in enumerate(gold)]


def test_the_answer_is_the_label_with_the_highest_logit() -> None:
    """Columns have the order of the task's labels; the first of equals wins."""
    logits = np.array([[0.1, 0.2, -1.0], [3.0, 1.0, 2.0], [1.0, 1.0, 0.0]], dtype=np.float32)
    assert CB.decide(logits, np.arange(4)) == ["contradiction", "entailment", "entailment"]


def test_accuracy_is_the_share_of_right_answers() -> None:
    """Two of four."""
    examples = having("true", "false", "true", "true")
    assert BOOLQ.scoring(examples, ["true", "true", "false", "true"]) == {"accuracy": 0.5}


def test_cb_macro_f1_is_the_plain_mean_over_three_classes() -> None:
    """Entailment: precision 1/2, recall 1: F1 2/3. Contradiction: 1, 1/2: 2/3. Neutral: 0.

    Their mean is 4/9, and three of five answers are right.
    """
    examples = having("entailment", "contradiction", "contradiction", "neutral", "entailment")
    answers = ["entailment", "contradiction", "entailment", "entailment", "entailment"]
    # entailment: 2 right of 4 answered, 2 of 2 found -> P 1/2, R 1, F1 2/3
    scores = CB.scoring(examples, answers)
    assert scores["accuracy"] == pytest.approx(3 / 5)
    assert scores["macro_f1"] == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)


def test_a_class_that_nobody_holds_or_answers_counts_zero() -> None:
    """A split without neutral examples cannot reach a macro-F1 of 1, as in the official script."""
    gold = ["entailment", "contradiction"]
    assert CB.scoring(having(*gold), gold)["macro_f1"] == pytest.approx(2 / 3)


@given(st.lists(st.tuples(st.sampled_from(CB.labels), st.sampled_from(CB.labels)), min_size=1))
def test_macro_f1_is_what_the_library_computes(pairs: list[tuple[str, str]]) -> None:
    """Whatever the answers: scikit-learn over all three classes, absent ones as 0."""
    gold, answers = ([pair[side] for pair in pairs] for side in (0, 1))
    expected = f1_score(gold, answers, labels=CB.labels, average="macro", zero_division=0.0)
    assert CB.scoring(having(*gold), answers)["macro_f1"] == pytest.approx(expected)


def test_scoring_refuses_answers_that_do_not_match_the_examples() -> None:
    """One answer an example, and at least one."""
    with pytest.raises(ValueError, match="1 answers to 2"):
        BOOLQ.scoring(having("true", "false"), ["true"])


def test_prediction_rows_have_the_official_form() -> None:
    """BoolQ writes strings, not booleans."""
    assert BOOLQ.answer_rows([Example("3", ())], ["true"]) == [{"idx": 3, "label": "true"}]


def test_an_unknown_task_is_answered_with_the_nearest_name() -> None:
    """And every task is found under its own."""
    assert all(get_task(name).name == name for name in TASKS)
    with pytest.raises(UsageError, match="Did you mean boolq"):
        get_task("bolq")

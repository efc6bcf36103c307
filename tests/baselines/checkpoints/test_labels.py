"""A checkpoint's labels are matched with the task's by name, and whatever is ambiguous is refused."""

from typing import Any

import pytest

from baselines.checkpoints.labels import has_head, label_columns, label_names
from harness.common.errors import CheckpointError
from harness.workload.tasks import get_task
from harness.workload.tasks.custom import CustomTaskDefinition, custom_task
from harness.workload.tasks.superglue.boolq import BOOLQ


def custom(*labels: str, positional: bool = False) -> Any:
    return custom_task(CustomTaskDefinition(labels, positional=positional))


def refusal(config: dict[str, Any], task: Any = BOOLQ) -> CheckpointError:
    with pytest.raises(CheckpointError) as caught:
        label_columns(config, task, "mine")
    return caught.value


@pytest.mark.parametrize(
    ("id2label", "remedy"),
    [
        ({"false": 0, "true": 1}, 'Write it as {"0": "false", "1": "true"}.'),
        ({"true": "1", "false": "0"}, 'Write it as {"0": "false", "1": "true"}.'),
        (["false", "true"], "Write it as {"),
        ({"1": "false", "2": "true"}, "Write it as {"),
        ({"0": "false", "1": None}, "Write it as {"),
    ],
)
def test_id2label_keyed_by_names_is_refused_with_the_right_form(id2label: Any, remedy: str) -> None:
    """Transformers raises a ValueError for it; the message shows what it should be."""
    problem = refusal({"id2label": id2label})
    assert problem.message.startswith("id2label in config.json must map numbers from 0 on to names")
    assert remedy in str(problem.remedy)


def test_num_labels_without_id2label_are_named_as_transformers_names_them() -> None:
    """Two by default, or as many as num_labels."""
    from transformers import BertConfig

    for fields in ({}, {"num_labels": 3}):
        assert label_names(fields, "mine") == list(BertConfig(**fields).id2label.values())
    with pytest.raises(CheckpointError, match=r"num_labels in config\.json must be an integer of 1 or more"):
        label_names({"num_labels": "three"}, "mine")


def test_two_labels_of_one_name_are_refused() -> None:
    """Which column is meant cannot be known."""
    assert "two labels of the same name" in refusal({"id2label": {"0": "true", "1": "true"}}).message


def test_label2id_that_contradicts_id2label_is_refused() -> None:
    """One of them is the wrong way round, and so might the scores be."""
    config = {"id2label": {"0": "false", "1": "true"}, "label2id": {"true": 0, "false": 1}}
    assert "contradict each other" in refusal(config).message


def test_label2id_from_before_the_labels_were_named_does_not_matter() -> None:
    """Transformers reads id2label; LABEL_0 beside it is left over."""
    config = {"id2label": {"0": "true", "1": "false"}, "label2id": {"LABEL_0": 0, "LABEL_1": 1}}
    assert label_columns(config, BOOLQ, "mine") == [1, 0]


@pytest.mark.parametrize(
    "config", [{"num_labels": 1}, {"id2label": {"0": "false", "1": "true"}, "problem_type": "regression"}]
)
def test_a_model_for_regression_is_refused_by_name(config: dict[str, Any]) -> None:
    """Its outputs are numbers, not labels, whatever they are called."""
    problem = refusal(config)
    assert problem.message.startswith("it is a model for regression")
    assert "bench train --task boolq" in str(problem.remedy)


def test_one_score_of_a_choice_is_no_regression() -> None:
    """Transformers saves such a head with problem_type regression."""
    config = {"id2label": {"0": "LABEL_0"}, "problem_type": "regression"}
    assert label_columns(config, get_task("copa"), "mine") == [0]


NLI = {"id2label": {"0": "contradiction", "1": "entailment", "2": "neutral"}}


def test_two_of_three_labels_in_the_data_name_the_option_that_helps() -> None:
    """--labels lists all labels of the model; with it the columns match."""
    problem = refusal(NLI, custom("neutral", "entailment"))
    assert problem.remedy == (
        "The data has 2 of the model's 3 labels. Name all of them: --labels contradiction,entailment,neutral."
    )
    assert label_columns(NLI, custom("contradiction", "entailment", "neutral", positional=True), "mine") == [
        0,
        1,
        2,
    ]


def test_labels_that_a_spreadsheet_wrote_as_decimals_are_explained() -> None:
    """A column of 0 and 1 with a gap becomes 0.0 and 1.0."""
    problem = refusal({"id2label": {"0": "0", "1": "1"}}, custom("0.0", "1.0"))
    assert "its labels are 0, 1; custom needs 0.0, 1.0" in problem.message
    assert "A spreadsheet wrote whole numbers as 1.0" in str(problem.remedy)


def test_blanks_around_a_label_do_not_matter_and_others_are_shown() -> None:
    """A blank at the end of a cell is invisible, so the message puts such a label into quotes."""
    config = {"id2label": {"0": "bad", "1": "good"}}
    assert label_columns(config, custom("good ", " bad"), "mine") == [1, 0]
    assert "custom needs 'good\\xa0', other" in refusal(config, custom("good\xa0", "other")).message


@pytest.mark.parametrize(
    "tensor",
    ["classifier.weight", "score.weight", "classification_head.out_proj.weight", "pre_classifier.bias"],
)
def test_the_heads_of_all_families_are_recognised(tensor: str) -> None:
    """BART's is called classification_head."""
    assert has_head(["model.embed_tokens.weight", tensor])
    assert not has_head(["model.embed_tokens.weight", "lm_head.weight"])

import pytest

from baselines.servers.labels import LabelColumns, UnknownLabel

LABELS = ("entailment", "not_entailment")


def test_labels_are_matched_by_name() -> None:
    """Case, blanks and hyphens do not matter."""
    columns = LabelColumns(LABELS, {})
    assert [columns.column(name) for name in ("not_entailment", "Not Entailment", "ENTAILMENT")] == [1, 1, 0]


@pytest.mark.parametrize("label", ["LABEL_0", "contradiction", 0, 1, ""])
def test_a_label_is_never_matched_by_position(label: str | int) -> None:
    """LABEL_0 and column 0 may be any label: the user is told how to say which."""
    with pytest.raises(UnknownLabel) as caught:
        LabelColumns(LABELS, {}).column(label)
    assert "and the task has entailment, not_entailment" in str(caught.value)
    assert "--system-labels" in caught.value.remedy


def test_the_user_maps_names_and_columns() -> None:
    """Also two labels of the server to one of the task, and against the order."""
    columns = LabelColumns(LABELS, {"LABEL_0": "not_entailment", "1": "entailment", "2": "not_entailment"})
    assert [columns.column(label) for label in ("LABEL_0", 1, "1", 2)] == [1, 0, 0, 1]
    assert columns.column("entailment") == 0


def test_the_remedy_has_names_like_the_one_that_came() -> None:
    """So that it can be copied once the order is right."""
    with pytest.raises(UnknownLabel) as caught:
        LabelColumns(LABELS, {}).column("LABEL_1")
    assert "--system-labels LABEL_0=entailment,LABEL_1=not_entailment" in caught.value.remedy


def test_names_that_differ_in_case_alone_are_told_apart() -> None:
    """Then only the exact name counts."""
    columns = LabelColumns(("A", "a"), {})
    assert (columns.column("A"), columns.column("a")) == (0, 1)
    with pytest.raises(UnknownLabel):
        columns.column(" A")

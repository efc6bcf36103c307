"""A label not_X stands for all labels but X, and an answer is right if it is among those."""

from harness.workload.tasks.example import Example, TextInput
from harness.workload.tasks.intermediate import accepted_labels, intermediate_task

THREE = ("contradiction", "entailment", "neutral")


def test_a_negated_label_stands_for_the_others() -> None:
    """Of MNLI's three labels and SciTail's two."""
    assert accepted_labels([*THREE, "not_entailment"]) == {
        **{label: (label,) for label in THREE},
        "not_entailment": ("contradiction", "neutral"),
    }


def test_a_negated_label_without_two_others_is_a_label_of_its_own() -> None:
    """As in QNLI alone."""
    assert accepted_labels(["entailment", "not_entailment"]) == {
        "entailment": ("entailment",),
        "not_entailment": ("not_entailment",),
    }


def test_a_label_that_begins_with_not_negates_only_a_label_that_is_there() -> None:
    """`notable` negates nothing, and neither does `not_spam` without `spam`."""
    assert accepted_labels(["notable", "not_spam", "good", "bad"])["not_spam"] == ("not_spam",)


def test_any_accepted_label_is_right() -> None:
    """Two of three examples are answered by one of their labels."""
    task = intermediate_task(THREE)
    golds = [("entailment",), ("contradiction", "neutral"), ("contradiction", "neutral")]
    examples = [Example(str(number), (TextInput("a", "b"),), gold) for number, gold in enumerate(golds)]
    assert task.accepted(examples[1]) == (1, 0, 1)
    assert task.scoring(examples, ["entailment", "neutral", "entailment"]) == {"accuracy": 2 / 3}

"""The definition of a custom task: what workers, plans and records hold of it."""

import pytest

from harness.workload.tasks import resolve_task
from harness.workload.tasks.custom import CustomTaskDefinition, parse_definition, recorded_definition
from harness.workload.tasks.multi_label import MultiLabelTask


def test_the_definition_of_one_label_per_example_is_what_it_was() -> None:
    """Hashes of cells, and workers of earlier versions, read exactly these fields."""
    assert CustomTaskDefinition(("a", "b"), "mcc", pair=True).words == {
        "labels": ("a", "b"),
        "metric": "mcc",
        "pair": True,
        "positional": False,
    }


@pytest.mark.parametrize(
    "definition",
    [
        CustomTaskDefinition(("a", "b"), "f1", positional=True),
        CustomTaskDefinition(("a", "b"), "macro-f1", pair=True, multi_label=True, threshold=0.25),
    ],
)
def test_a_definition_comes_back_from_a_message(definition: CustomTaskDefinition) -> None:
    """With several labels the threshold, too, which decides the answers."""
    assert parse_definition({**definition.words, "labels": list(definition.labels)}) == definition
    task = resolve_task(definition.words)
    assert isinstance(task, MultiLabelTask) == definition.multi_label
    assert getattr(task, "threshold", None) == (0.25 if definition.multi_label else None)


def test_a_record_of_an_earlier_version_has_one_label_per_example() -> None:
    """Its facts have neither `multi_label` nor `threshold`."""
    facts = {"text": ["t"], "label": "stars", "labels": ["bad", "good"], "metric": "f1", "held_out": 0.2}
    assert recorded_definition(facts) == CustomTaskDefinition(("bad", "good"), "f1")
    several = {**facts, "text": ["t", "u"], "metric": "micro-f1", "multi_label": True, "threshold": 0.3}
    expected = CustomTaskDefinition(("bad", "good"), "micro-f1", pair=True, multi_label=True, threshold=0.3)
    assert recorded_definition(several) == expected

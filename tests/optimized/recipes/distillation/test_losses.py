"""The losses of distillation have the values computed by hand."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import tensor

from harness.systems.interface import EncodedSequence
from optimized.recipes.distillation.features import Features
from optimized.recipes.distillation.imitation import DistillationItem, Imitation
from optimized.recipes.distillation.losses import (
    hidden_loss,
    relation_loss,
    soft_cross_entropy,
    soft_label_losses,
)

LN3 = float(np.log(3))


@pytest.mark.parametrize(
    ("student", "teacher", "temperature", "expected"),
    [
        # student 1/2, 1/2 whatever the soft targets: ln 2
        ((0.0, 0.0), (LN3, 0.0), 1.0, np.log(2)),
        # student 3/4, 1/4, soft targets 1/2, 1/2: -(ln 0.75 + ln 0.25) / 2
        ((LN3, 0.0), (0.0, 0.0), 1.0, 0.836988),
        # at T = 2 both sides are 3/4, 1/4: 4 x (0.75 ln(4/3) + 0.25 ln 4) = 4 x 0.562335
        ((2 * LN3, 0.0), (2 * LN3, 0.0), 2.0, 2.249341),
    ],
)
def test_soft_cross_entropy(
    student: tuple[float, ...], teacher: tuple[float, ...], temperature: float, expected: float
) -> None:
    """T^2 times -sum p ln q."""
    loss = soft_cross_entropy(tensor([student]), tensor([teacher]), temperature)
    assert loss.tolist() == pytest.approx([expected], abs=1e-6)


@given(
    rows=st.lists(st.tuples(*[st.floats(-8, 8)] * 4), min_size=1, max_size=4),
    temperature=st.floats(0.5, 8),
)
def test_no_student_has_a_lower_loss_than_the_teacher_itself(
    rows: list[tuple[float, ...]], temperature: float
) -> None:
    """Cross-entropy against any student is at least the teacher's own entropy."""
    both = torch.tensor(rows, dtype=torch.float64)
    student, teacher = both[:, :2], both[:, 2:]
    own = soft_cross_entropy(teacher, teacher, temperature)
    assert (soft_cross_entropy(student, teacher, temperature) >= own - 1e-9).all()


@pytest.mark.parametrize(
    ("student", "teacher", "temperature", "expected"),
    [
        # student 1/2 for both labels, whatever the teacher: ln 2
        ((0.0, 0.0), (LN3, -1.0), 1.0, np.log(2)),
        # student 3/4 and 1/2, teacher 1/2 and 1/2: (-(ln 0.75 + ln 0.25) / 2 + ln 2) / 2
        ((LN3, 0.0), (0.0, 0.0), 1.0, (0.836988 + np.log(2)) / 2),
        # at T = 2 both sides are 3/4 for both labels: 4 x (0.75 ln(4/3) + 0.25 ln 4)
        ((2 * LN3, 2 * LN3), (2 * LN3, 2 * LN3), 2.0, 2.249341),
    ],
)
def test_soft_targets_of_each_label(
    student: tuple[float, ...], teacher: tuple[float, ...], temperature: float, expected: float
) -> None:
    """T^2 times the mean over labels of -(p ln q + (1 - p) ln (1 - q))."""
    loss = soft_label_losses(tensor([student]), tensor([teacher]), temperature)
    assert loss.tolist() == pytest.approx([expected], abs=1e-6)


def test_labels_that_hold_are_mixed_with_the_teachers_probabilities() -> None:
    """Half of each where an item has labels, else the teacher's alone; the student is the teacher."""
    sequence = EncodedSequence(np.array([1, 2]), np.zeros(2, dtype=np.int64))
    teacher = np.array([[LN3, -LN3]], dtype=np.float32)
    items = [
        DistillationItem((sequence,), (1, 0), teacher, labelled=True),
        DistillationItem((sequence,), (0, 0), teacher, labelled=False),
    ]
    objective = Imitation("multi_label", temperature=1.0, hard_label=0.5)

    def model(**inputs: Any) -> torch.Tensor:
        del inputs
        return tensor([[LN3, -LN3], [LN3, -LN3]])

    fields = objective.targets(items)
    soft = 0.562335  # 3/4 on both sides: 0.75 ln(4/3) + 0.25 ln 4
    hard = float(np.log(4 / 3))  # of both labels: 3/4 for the one that holds, 1/4 for the other
    expected = ((soft + hard) / 2 + soft) / 2
    loss: Any = objective.loss(model, fields)  # type: ignore[arg-type]  # a function in place of a module
    assert float(loss) == pytest.approx(expected, abs=1e-6)


def test_hidden_states_are_compared_through_the_projection_and_without_padding() -> None:
    """Width 1 becomes 2 by weights 2 and 3: state 1 is (2, 3), the teacher's (2, 5), so (0 + 4) / 2 = 2."""
    projection = torch.nn.Linear(1, 2, bias=False)
    projection.weight.data = tensor([[2.0], [3.0]])
    student = projection(tensor([[[1.0], [7.0]]]))
    teacher = tensor([[[2.0, 5.0], [0.0, 0.0]]])
    assert float(hidden_loss(student, teacher, tensor([[1, 0]])).detach()) == pytest.approx(2.0)
    # with both tokens: the second is (14, 21) against nothing, (196 + 441) / 2 = 318.5; the mean is 160.25
    assert float(hidden_loss(student, teacher, tensor([[1, 1]])).detach()) == pytest.approx(160.25)


def test_relations_of_one_head() -> None:
    """Student x = (sqrt(ln 3), 0), teacher x = (0, 0), of one number a token.

    Token 1 of the student attends by exp(ln 3) : exp(0) = 3/4, 1/4, the teacher's by 1/2, 1/2:
    KL = (ln(2/3) + ln 2) / 2 = 0.143841. Token 2 attends equally in both. The mean over both is half of it.
    """
    student, teacher = tensor([[[LN3**0.5], [0.0]]]), torch.zeros(1, 2, 1)
    loss = relation_loss(student, teacher, tensor([[1, 1]]), heads=1)
    assert float(loss) == pytest.approx(0.143841 / 2, abs=1e-6)


def test_relations_need_no_common_width_and_ignore_padding() -> None:
    """States of padding change nothing; 6 and 4 numbers a token both make 2 relation heads."""
    torch.manual_seed(0)
    student, teacher, mask = torch.randn(2, 5, 6), torch.randn(2, 5, 4), tensor([[1, 1, 1, 0, 0], [1] * 5])
    loss = relation_loss(student, teacher, mask, heads=2)
    student[0, 3:], teacher[0, 3:] = 9.0, -9.0
    assert float(relation_loss(student, teacher, mask, heads=2)) == pytest.approx(float(loss))
    assert float(loss) > 0.01
    assert float(relation_loss(teacher, teacher, mask, heads=2)) == pytest.approx(0.0, abs=1e-6)


class FixedLogits(torch.nn.Module):  # type: ignore[misc]  # mypy does not follow torch
    """A model that returns given logits."""

    def __init__(self, logits: list[list[float]]) -> None:
        super().__init__()
        self.logits = tensor(logits)

    def forward(self, **_: Any) -> torch.Tensor:
        return self.logits


def item(
    teacher_logits: list[list[float]], targets: tuple[int, ...], *, labelled: bool = True
) -> DistillationItem:
    sequence = EncodedSequence(np.zeros(1, dtype=np.int32), np.zeros(1, dtype=np.int32))
    logits = np.array(teacher_logits, dtype=np.float32)
    return DistillationItem((sequence,) * len(logits), targets, logits, labelled)


def loss_of(objective: Imitation, items: list[DistillationItem], logits: list[list[float]]) -> float:
    return float(objective.loss(FixedLogits(logits), objective.targets(items)))


def test_the_share_of_the_labels_counts_where_there_are_labels() -> None:
    """Student 3/4, 1/4 throughout; the teacher's soft targets are 1/2, 1/2, the label is column 0.

    Soft 0.836988, hard ln(4/3) = 0.287682: with a quarter for the label 0.75 x 0.836988 + 0.25 x 0.287682 =
    0.699662. The second item has no label: 0.836988. The mean is 0.768325.
    """
    items = [item([[0.0, 0.0]], (0,)), item([[0.0, 0.0]], (-100,), labelled=False)]
    loss = loss_of(Imitation("sequence", 1.0, 0.25), items, [[LN3, 0.0], [LN3, 0.0]])
    assert loss == pytest.approx(0.768325, abs=1e-6)


def test_soft_targets_of_a_choice_are_over_its_candidates() -> None:
    """Three candidates, then two.

    First: the student 1/2, 1/4, 1/4, soft targets 1/3 each: (ln 2 + 2 ln 4) / 3 = 1.155245.
    Second: student 3/4, 1/4, soft targets 1/2, 1/2: 0.836988. The mean is 0.996117; with labels only, the
    first in both, (ln 2 + ln(4/3)) / 2 = 0.490415.
    """
    items = [item([[5.0]] * 3, (1, 0, 0)), item([[-1.0]] * 2, (1, 0))]
    logits = [[float(np.log(2))], [0.0], [0.0], [LN3], [0.0]]
    assert loss_of(Imitation("choice", 1.0, 0.0), items, logits) == pytest.approx(0.996117, abs=1e-6)
    assert loss_of(Imitation("choice", 1.0, 1.0), items, logits) == pytest.approx(0.490415, abs=1e-6)


def test_feature_losses_are_weighted_and_added() -> None:
    """Hidden weight 3: embedding output differs by 1 everywhere, the last state by 2: 3 x (1 + 4) = 15.

    Attention weight 6 on the relations of the test above: queries 0.071921, keys and values equal, so a third
    of it: 6 x 0.071921 / 3 = 0.143841.
    """
    ones, different = torch.ones(1, 2, 1), tensor([[[LN3**0.5], [0.0]]])
    flat = torch.zeros(1, 2, 1)
    equal = {"key": flat, "value": flat}
    recorded = {
        "student": {"embeddings": ones, "last": ones, "query": different, **equal},
        "teacher": {"embeddings": 2 * ones, "last": 3 * ones, "query": flat, **equal},
    }
    student = torch.nn.Module()
    identity = torch.nn.Identity()
    student.projections = torch.nn.ModuleDict({"embeddings": identity, "last": identity})
    features = Features(FixedLogits([[0.0]]), 0, 3.0, 6.0, recorded, heads=1)
    loss = features.loss(student, {"attention_mask": tensor([[1, 1]])}, {})
    assert float(loss) == pytest.approx(15.143841, abs=1e-5)

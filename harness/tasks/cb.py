"""CB: does a text commit its author to the hypothesis (de Marneffe et al., 2019).

Official metrics: accuracy, and the unweighted mean of the three classes' F1.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from harness.tasks.base import PairTask, accuracy

_VALUES = {"entailment": "entailment", "contradiction": "contradiction", "neutral": "neutral"}


def accuracy_and_macro_f1(gold: Sequence[str], answers: Sequence[str]) -> dict[str, float]:
    """Return accuracy and macro-F1 over all three classes; a class with neither gold nor answers counts 0.

    Counted here rather than by a library: intervals score a thousand resamples, and the library takes
    milliseconds for each.
    """
    found = accuracy(gold, answers)
    pairs = Counter(zip(gold, answers, strict=True))
    return {**found, "macro_f1": sum(_f1(label, pairs) for label in _VALUES) / len(_VALUES)}


def _f1(label: str, pairs: Mapping[tuple[str, str], int]) -> float:
    """Return 2 TP / (2 TP + FP + FN) of one class, from counts of (gold, answer)."""
    right = pairs.get((label, label), 0)
    named = sum(count for pair, count in pairs.items() for side in pair if side == label)
    return 2 * right / named if named else 0.0


CB = PairTask(
    name="cb",
    folder="CB",
    first="premise",
    second="hypothesis",
    values=_VALUES,
    metrics=("accuracy", "macro_f1"),
    score=accuracy_and_macro_f1,
    summary="does the text commit its author to the hypothesis; accuracy and macro-F1",
)

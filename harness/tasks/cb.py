"""CB: does a text commit its author to the hypothesis (de Marneffe et al., 2019).

Official metrics: accuracy, and the unweighted mean of the three classes' F1.
"""

from collections.abc import Sequence

from harness.tasks.base import PairTask, accuracy

_VALUES = {"entailment": "entailment", "contradiction": "contradiction", "neutral": "neutral"}


def accuracy_and_macro_f1(gold: Sequence[str], answers: Sequence[str]) -> dict[str, float]:
    """Return accuracy and macro-F1 over all three classes; a class with neither gold nor answers counts 0."""
    from sklearn.metrics import f1_score

    macro = f1_score(list(gold), list(answers), labels=list(_VALUES), average="macro", zero_division=0.0)
    return {**accuracy(gold, answers), "macro_f1": float(macro)}


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

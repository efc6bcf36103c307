"""CB, CommitmentBank: decide whether a text commits its author to a hypothesis (de Marneffe et al., 2019).

row         {"premise": ..., "hypothesis": ..., "idx": 0, "label": "neutral"}
input       premise + hypothesis
labels      entailment, contradiction, neutral
score       accuracy, and macro F1: the unweighted mean of the three labels' F1
prediction  {"idx": 0, "label": "neutral"}
"""

from harness.workload.tasks.base import LabelTask
from harness.workload.tasks.metrics import label_scoring
from harness.workload.tasks.text_pair import pair

_LABELS = ("entailment", "contradiction", "neutral")

CB = LabelTask(
    name="cb",
    folder="CB",
    summary="does the text commit its author to the hypothesis; accuracy and macro-F1",
    lay_out=pair("premise", "hypothesis"),
    values={label: label for label in _LABELS},
    scoring=label_scoring(_LABELS, ("accuracy", "macro_f1")),
)

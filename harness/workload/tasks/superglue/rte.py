"""RTE: does the premise entail the hypothesis (Dagan et al., 2006, and later). Official metric: accuracy.

The diagnostics AX-b (Wang et al., 2019; Matthews correlation) and AX-g (Rudinger et al., 2018; accuracy and
gender parity) are answered by RTE's models; each is one labelled file, so nothing may be tuned on it.
"""

from harness.workload.tasks.base import LabelTask
from harness.workload.tasks.metrics import label_scoring, parity_scoring
from harness.workload.tasks.text_pair import pair

_LABELS = ("entailment", "not_entailment")
_VALUES = {label: label for label in _LABELS}

RTE = LabelTask(
    name="rte",
    folder="RTE",
    summary="entailment of two texts; accuracy",
    lay_out=pair("premise", "hypothesis"),
    values=_VALUES,
    scoring=label_scoring(_LABELS, ("accuracy",)),
)
AX_B = LabelTask(
    name="ax-b",
    folder="AX-b",
    summary="diagnostic of RTE's model: linguistic phenomena; Matthews correlation",
    lay_out=pair("sentence1", "sentence2"),
    values=_VALUES,
    scoring=label_scoring(_LABELS, ("mcc",)),
    trained_as="rte",
    splits={"test": "AX-b.jsonl"},
)
AX_G = LabelTask(
    name="ax-g",
    folder="AX-g",
    summary="diagnostic of RTE's model: pairs that differ in gender; accuracy and gender parity",
    lay_out=pair("premise", "hypothesis"),
    values=_VALUES,
    scoring=parity_scoring(_LABELS),
    trained_as="rte",
    splits={"test": "AX-g.jsonl"},
    cluster="pair_id",
)

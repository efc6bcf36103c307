"""RTE: decide whether a premise entails a hypothesis (Dagan et al., 2006, and later); and its diagnostics.

    row         {"premise": ..., "hypothesis": ..., "idx": 0, "label": "entailment"}
    input       premise + hypothesis
    labels      entailment, not_entailment
    score       accuracy
    prediction  {"idx": 0, "label": "entailment"}

RTE's models answer the diagnostics. Each diagnostic is one labelled file, so nothing may be tuned on it:

    AX-b        linguistic phenomena (Wang et al., 2019); fields sentence1, sentence2; Matthews correlation
    AX-g        pairs that differ in gender (Rudinger et al., 2018); field pair_id; accuracy, gender parity
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

"""RTE: does the premise entail the hypothesis (Dagan et al., 2006, and later). Official metric: accuracy."""

from harness.tasks.base import PairTask, accuracy

RTE = PairTask(
    name="rte",
    folder="RTE",
    first="premise",
    second="hypothesis",
    values={"entailment": "entailment", "not_entailment": "not_entailment"},
    metrics=("accuracy",),
    score=accuracy,
    summary="entailment of two texts; accuracy",
)

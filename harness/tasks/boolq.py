"""BoolQ: a yes/no question about a passage (Clark et al., 2019). Official metric: accuracy."""

from harness.tasks.base import PairTask, accuracy

BOOLQ = PairTask(
    name="boolq",
    folder="BoolQ",
    # the passage comes first, so that truncation of the longer first text leaves the question whole
    first="passage",
    second="question",
    values={"false": False, "true": True},
    metrics=("accuracy",),
    score=accuracy,
    summary="yes/no question about a passage; accuracy",
)

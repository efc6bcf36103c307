"""BoolQ: a yes/no question about a passage (Clark et al., 2019). Official metric: accuracy."""

from harness.workload.tasks.base import LabelTask
from harness.workload.tasks.metrics import label_scoring
from harness.workload.tasks.text_pair import pair

_VALUES = {"false": False, "true": True}

BOOLQ = LabelTask(
    name="boolq",
    folder="BoolQ",
    summary="yes/no question about a passage; accuracy",
    # the passage comes first, so that truncation of the longer first text leaves the question whole
    lay_out=pair("passage", "question"),
    values=_VALUES,
    scoring=label_scoring(tuple(_VALUES), ("accuracy",)),
)

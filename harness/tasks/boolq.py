"""BoolQ: a yes/no question about a passage (Clark et al., 2019). Official metric: accuracy."""

from harness.tasks.base import LabelTask
from harness.tasks.pair import pair
from harness.tasks.scoring import label_scoring

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

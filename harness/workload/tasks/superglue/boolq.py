"""BoolQ: answer a question about a passage with yes or no (Clark et al., 2019).

row         {"question": ..., "passage": ..., "idx": 0, "label": true}
input       passage + question
labels      false, true
score       accuracy
prediction  {"idx": 0, "label": "true"}
"""

from harness.workload.tasks.base import BOOLEAN_LABELS, LabelTask
from harness.workload.tasks.metrics import label_scoring
from harness.workload.tasks.text_pair import pair

BOOLQ = LabelTask(
    name="boolq",
    folder="BoolQ",
    summary="yes/no question about a passage; accuracy",
    # the passage comes first, so that truncation of the longer first text leaves the question whole
    lay_out=pair("passage", "question"),
    values=BOOLEAN_LABELS,
    scoring=label_scoring(tuple(BOOLEAN_LABELS), ("accuracy",)),
)

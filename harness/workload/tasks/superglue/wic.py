"""WiC, Word in Context: compare a word's sense in two sentences (Pilehvar and Camacho-Collados, 2019).

row         {"word": ..., "sentence1": ..., "sentence2": ..., "start1": 14, "end1": 18, "start2": 0,
"end2": 5, "idx": 0, "label": false}
input       sentence1 + sentence2, with a span for the word in each
labels      false, true
score       accuracy
prediction  {"idx": 0, "label": "false"}
"""

from harness.common.errors import DataError
from harness.workload.tasks.base import BOOLEAN_LABELS, LabelTask
from harness.workload.tasks.example import Span, TextInput
from harness.workload.tasks.metrics import label_scoring
from harness.workload.tasks.rows import Row, int_field, text_field


def _lay_out(row: Row, where: str) -> TextInput:
    first, second = (text_field(row, name, where) for name in ("sentence1", "sentence2"))
    return TextInput(first, second, (_span(row, 0, first, where), _span(row, 1, second, where)))


def _span(row: Row, text: int, sentence: str, where: str) -> Span:
    """Return the word's characters, end exclusive. The word may be inflected there."""
    start, end = (int_field(row, f"{name}{text + 1}", where) for name in ("start", "end"))
    if not 0 <= start < end <= len(sentence) or not sentence[start:end].strip():
        raise DataError(
            f"sentence{text + 1} ({len(sentence)} characters) has no word at characters {start} to {end}.",
            where=where,
        )
    return Span(start, end, text)


WIC = LabelTask(
    name="wic",
    folder="WiC",
    summary="has a word the same sense in two sentences; accuracy",
    lay_out=_lay_out,
    values=BOOLEAN_LABELS,
    scoring=label_scoring(tuple(BOOLEAN_LABELS), ("accuracy",)),
    head="span",
)

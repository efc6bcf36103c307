"""WiC: does a word have the same sense in two sentences (Pilehvar and Camacho-Collados, 2019). Accuracy."""

from harness.common.errors import DataError
from harness.workload.tasks.base import LabelTask
from harness.workload.tasks.example import Span, TextInput
from harness.workload.tasks.metrics import label_scoring
from harness.workload.tasks.rows import Row, int_field, text_field

_VALUES = {"false": False, "true": True}


def _lay_out(row: Row, where: str) -> TextInput:
    first, second = (text_field(row, name, where) for name in ("sentence1", "sentence2"))
    return TextInput(first, second, (_span(row, 0, first, where), _span(row, 1, second, where)))


def _span(row: Row, text: int, sentence: str, where: str) -> Span:
    """Return the word's characters, end exclusive; the word may be inflected there."""
    start, end = (int_field(row, f"{side}{text + 1}", where) for side in ("start", "end"))
    if not 0 <= start < end <= len(sentence) or not sentence[start:end].strip():
        raise DataError(
            f"characters {start} to {end} of sentence{text + 1} hold no word (it has {len(sentence)}).",
            where=where,
        )
    return Span(start, end, text)


WIC = LabelTask(
    name="wic",
    folder="WiC",
    summary="has a word the same sense in two sentences; accuracy",
    lay_out=_lay_out,
    values=_VALUES,
    scoring=label_scoring(tuple(_VALUES), ("accuracy",)),
    head="span",
)

"""The layout of most tasks: two fields of a row as two texts, in the order in which the model reads them."""

from collections.abc import Callable

from harness.workload.tasks.example import TextInput, Truncation
from harness.workload.tasks.rows import Row, text_field


def pair(first: str, second: str, truncate: Truncation = "first") -> Callable[[Row, str], TextInput]:
    """Return the layout of the fields with these names; `truncate` is what is cut where both are too long."""

    def lay_out(row: Row, where: str) -> TextInput:
        texts = text_field(row, first, where), text_field(row, second, where)
        return TextInput(*texts, truncate=truncate)

    return lay_out

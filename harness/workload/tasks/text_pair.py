"""The layout that most tasks share: two texts of a row, in the order of the model's input."""

from collections.abc import Callable

from harness.workload.tasks.example import TextInput
from harness.workload.tasks.rows import Row, text_field


def pair(first: str, second: str) -> Callable[[Row, str], TextInput]:
    """Return a layout of two fields."""

    def lay_out(row: Row, where: str) -> TextInput:
        return TextInput(text_field(row, first, where), text_field(row, second, where))

    return lay_out

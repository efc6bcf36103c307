"""WSC: does a pronoun refer to a noun (Levesque et al., 2012, as recast by SuperGLUE). Accuracy.

The file counts blank-separated words. Some of its spans do not stand where it says: other case, a full
stop, a line break between, or an index that is off by a few. Such a span is looked for nearby; one that
cannot be found is refused rather than guessed.
"""

import re
import string

from harness.common.errors import DataError
from harness.workload.tasks.base import LabelTask
from harness.workload.tasks.example import Span, TextInput
from harness.workload.tasks.metrics import label_scoring
from harness.workload.tasks.rows import Row, int_field, object_field, text_field

_VALUES = {"false": False, "true": True}
_WORD = re.compile(r"\S+")


def _lay_out(row: Row, where: str) -> TextInput:
    text = text_field(row, "text", where)
    target = object_field(row, "target", where)
    spans = tuple(
        word_span(
            text, text_field(target, f"{name}_text", where), int_field(target, f"{name}_index", where), where
        )
        for name in ("span1", "span2")
    )
    return TextInput(text, spans=spans)


def word_span(text: str, wanted: str, index: int, where: str = "") -> Span:
    """Return the characters of `wanted`, which stands at word `index` or as near to it as it can be found.

    Case, marks around words and kinds of blanks do not count. DataError if the text does not hold the words.
    """
    words = [word.strip(string.punctuation) or word for word in wanted.split()]
    pattern = r"(?<!\w)" + r"\W+".join(map(re.escape, words)) + r"(?!\w)"
    found = list(re.finditer(pattern, text, re.IGNORECASE)) if words else []
    if not found:
        raise DataError(f"the text does not hold the {len(words)} words of a span.", where=where)
    starts = [word.start() for word in _WORD.finditer(text)]
    expected = starts[index] if 0 <= index < len(starts) else len(text)
    nearest = min(found, key=lambda match: abs(match.start() - expected))
    return Span(nearest.start(), nearest.end())


WSC = LabelTask(
    name="wsc",
    folder="WSC",
    summary="does a pronoun refer to a noun; accuracy",
    lay_out=_lay_out,
    values=_VALUES,
    scoring=label_scoring(tuple(_VALUES), ("accuracy",)),
    head="span",
    # as the benchmark's own toolkit writes them
    written={"false": "False", "true": "True"},
)

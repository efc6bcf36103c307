"""WSC, Winograd Schema Challenge: decide whether a pronoun refers to a noun (Levesque et al., 2012).

    row         {"text": ..., "target": {"span1_text": "Leo", "span1_index": 2, "span2_text": "he",
                "span2_index": 4}, "idx": 0, "label": true}
    input       text, with a span for the noun (span1) and one for the pronoun (span2)
    labels      false, true
    score       accuracy
    prediction  {"idx": 0, "label": "True"}, as the benchmark's own toolkit writes it

SuperGLUE recast the pairs as questions with the answers true and false. An index counts words separated by
blanks. Some spans of the official files differ from the text at their index: other case, a full stop, a line
break, or an index that is off by a few. Such a span is looked up nearby. One that is not in the text at all
is an error.
"""

import re
import string

from harness.common.errors import DataError
from harness.workload.tasks.base import BOOLEAN_LABELS, LabelTask
from harness.workload.tasks.example import Span, TextInput
from harness.workload.tasks.metrics import label_scoring
from harness.workload.tasks.rows import Row, int_field, object_field, text_field

_WORD = re.compile(r"\S+")


def _lay_out(row: Row, where: str) -> TextInput:
    text = text_field(row, "text", where)
    target = object_field(row, "target", where)
    spans = tuple(
        find_span(
            text, text_field(target, f"{name}_text", where), int_field(target, f"{name}_index", where), where
        )
        for name in ("span1", "span2")
    )
    return TextInput(text, spans=spans)


def find_span(text: str, span: str, index: int, where: str = "") -> Span:
    """Return the characters of `span` at word `index` of the text, or at its occurrence nearest to there.

    Case, punctuation around words and kinds of blanks are ignored. DataError where the text lacks the words.
    """
    words = [word.strip(string.punctuation) or word for word in span.split()]
    pattern = r"(?<!\w)" + r"\W+".join(map(re.escape, words)) + r"(?!\w)"
    matches = list(re.finditer(pattern, text, re.IGNORECASE)) if words else []
    if not matches:
        raise DataError(f"the text does not contain the words of a span ({len(words)}).", where=where)
    starts = [word.start() for word in _WORD.finditer(text)]
    expected = starts[index] if 0 <= index < len(starts) else len(text)
    nearest = min(matches, key=lambda match: abs(match.start() - expected))
    return Span(nearest.start(), nearest.end())


WSC = LabelTask(
    name="wsc",
    folder="WSC",
    summary="does a pronoun refer to a noun; accuracy",
    lay_out=_lay_out,
    values=BOOLEAN_LABELS,
    scoring=label_scoring(tuple(BOOLEAN_LABELS), ("accuracy",)),
    head="span",
    written={"false": "False", "true": "True"},
)

"""The facts below a table that come from the records alone."""

import pytest
from records import a_quality, a_record

from harness.records.record import TextLoss
from reports.provenance.measured import facts_of
from reports.values.figures import figures_of_group

QUESTIONS = TextLoss(text="first", examples=11, tokens=99, most=0.8182)
PASSAGES = TextLoss(text="second", examples=1, tokens=1, most=0.0051)
ANSWERS = "from 700 timed and 300 untimed answers"


@pytest.mark.parametrize(
    ("truncated", "losses", "text"),
    [
        (0, (), ""),
        (12, (), "; 12 examples cut to the maximum length"),
        (
            12,
            (QUESTIONS, PASSAGES),
            (
                "; 12 examples cut to the maximum length (11 examples lost 99 tokens of the first text, "
                "at most 82 % of one; 1 example lost 1 token of the second text, at most 1 % of one)"
            ),
        ),
    ],
)
def test_the_report_names_how_many_rows_lost_how_much_of_which_text(
    truncated: int, losses: tuple[TextLoss, ...], text: str
) -> None:
    """Where the encoder does not report which text it cut, the examples are counted."""
    record = a_record(quality=a_quality(truncated=truncated, losses=losses))
    (line,) = [line for line in facts_of(figures_of_group([record])) if line.label == "quality"]
    assert line.text == ANSWERS + text

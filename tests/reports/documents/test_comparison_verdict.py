import json

from records import a_quality, a_record, an_accuracy

from harness.analysis.comparison import compare_runs
from harness.records.record import Record
from reports.documents.comparison import render
from reports.documents.comparison_verdict import comparison_verdict

ROUNDS = (500.0, 502.0, 498.0, 501.0, 499.0, 500.5, 499.5)


def verdict(before: list[Record], after: list[Record]) -> str:
    return comparison_verdict(compare_runs(before, after))


def slower(factor: float, **changes: object) -> Record:
    return a_record(wall_ms=[factor * value for value in ROUNDS], run="r2", **changes)  # type: ignore[arg-type]


def test_equal_runs_have_not_surely_changed() -> None:
    """Neither better nor worse."""
    sentence = verdict([a_record(wall_ms=ROUNDS)], [slower(1.0)])
    assert sentence.startswith("Nothing surely changed in ")


def test_a_loss_of_quality_and_a_slow_down_are_named_with_their_size_and_verdict() -> None:
    """Twice the time; 60 instead of 88 percent; the greatest change comes first, bytes last."""
    worse = a_quality(metrics={"accuracy": an_accuracy(0.60, 0.58, 0.62)})
    sentence = verdict([a_record(wall_ms=ROUNDS)], [slower(2.0, quality=worse)])
    assert "pytorch-fixed: throughput -50.0 % [-50.0, -50.0], worse" in sentence
    assert "pytorch-fixed: quality -28.0 points [-30.8, -25.2], worse" in sentence
    assert sentence.index("throughput") < sentence.index("quality")


def test_cells_that_cannot_be_compared_are_in_the_sentence() -> None:
    """The reason stands there as in the table."""
    sentence = verdict([a_record(wall_ms=ROUNDS)], [slower(1.0, schema_version=2)])
    assert sentence == "1 cell refused, because the schema version differs: 3 and 2."


def test_every_format_has_the_sentence() -> None:
    """Last in a terminal, first in Markdown, a field in JSON."""
    comparison = compare_runs([a_record(wall_ms=ROUNDS)], [slower(1.0)])
    sentence = comparison_verdict(comparison)
    assert render(comparison, "markdown").startswith(f"**Verdict.** {sentence.split('.')[0]}")
    assert " ".join(render(comparison, "text", width=200).split()).endswith(f"Verdict {sentence}")
    assert json.loads(render(comparison, "json"))["verdict"] == sentence

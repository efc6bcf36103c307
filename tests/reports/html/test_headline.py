from typing import Any

import pytest
from records import ROUNDS_MS, a_failure, a_ladder, a_quality, a_record, an_accuracy, three_variants

from harness.records.record import ModelFacts, Record
from reports import CostFactors, Style, build_report, write_report
from reports.html.headline import claims_of, columns_of, headline_of
from reports.plots.headline import headline_plot

SAME = a_quality(answers_sha256="9" * 64)
UNTRAINED = ModelFacts(name="shape", tier="embedded", fingerprint="b" * 64, trained=False)


def moved(records: list[Record], task: str) -> list[Record]:
    """Return the records as those of another task."""
    return [
        record.model_copy(
            update={
                "cell": record.cell.model_copy(
                    update={"task": task, "group": task, "id": f"{task}-{record.cell.variant}"}
                )
            }
        )
        for record in records
    ]


def headline(records: list[Record]) -> str:
    return headline_of(build_report(records, CostFactors()).verdicts())


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        (three_variants(quality=SAME), "onnx-int8: 2.50x as fast, the same answers"),
        (three_variants(), "onnx-int8: 2.50x as fast, quality not settled"),
        (three_variants(model=UNTRAINED), "onnx-int8: 2.50x as fast, quality unknown"),
        (three_variants()[:2], "Only PyTorch was measured"),
        ([*three_variants()[:2], a_record("onnx-fp32", (2000.0,) * 7)], "Nothing is faster"),
        ([a_record("onnx-int8")], "No verdict: no reference was measured"),
        ([a_failure("pytorch-fixed")], "No verdict: nothing was measured"),
        (a_ladder(quality=SAME), "multi-instance: 40.0x as fast, the same answers (offline)"),
        (
            [*three_variants(quality=SAME), *moved(three_variants(), "rte"), *moved(three_variants(), "cb")],
            "onnx-int8 is the fastest in 3 of 3 groups; in 1 the loss is surely within 1 point",
        ),
    ],
)
def test_the_headline_is_the_answer_in_a_few_words(records: list[Record], expected: str) -> None:
    """Of one group, of a ladder's two scenarios, of several tasks."""
    assert headline(records) == expected


def test_the_figures_in_large_type_are_those_of_the_sentence() -> None:
    """Both factors with the names of their references, the change of quality, the energy with its grade."""
    scores = a_quality(metrics={"accuracy": an_accuracy(0.88, 0.879, 0.881, 100_000)})
    (claim,) = claims_of(build_report(three_variants(quality=scores), CostFactors()).verdicts())
    assert [(tile.label, tile.value) for tile in claim.tiles] == [
        ("over PyTorch without padding (pytorch-dynamic)", "2.50x"),
        ("over the padded baseline (pytorch-fixed)", "5.00x"),
        ("change of accuracy, points", "0.00"),
        ("measured energy reduction", "2.50x"),
    ]
    assert claim.tiles[0].detail == "[2.50, 2.50]"
    assert columns_of([claim])[-1] == "change of quality, points"


@pytest.mark.parametrize(
    ("records", "title"),
    [
        (three_variants(), "Quality against p50 latency: boolq"),
        (three_variants(model=UNTRAINED, quality=None), "Time per request: boolq"),
        (a_ladder(), "Time per request: boolq on cpu, offline"),
        ([*three_variants(), *moved(three_variants(), "rte")], "The fastest variant of each group over"),
    ],
)
def test_one_plot_stands_beside_the_verdict_and_is_not_drawn_again(records: list[Record], title: str) -> None:
    """Quality against time; without quality, and of a ladder, time per request; of tasks, their factors."""
    report = build_report(records, CostFactors())
    plot = headline_plot(report, report.verdicts())
    assert plot is not None
    assert plot.title.startswith(title)
    page = write_report(report, "html", Style())
    assert page.count(f'aria-label="{plot.title}') == 1


def test_a_server_without_quality_has_a_page_without_a_plot() -> None:
    """There is no time per request there."""

    def served(variant: str) -> Record:
        facts: dict[str, Any] = {"quality": None, "latency": {}, "model": UNTRAINED}
        return a_record(variant, ROUNDS_MS, cell={"scenario": "server", "rate": 10.0}, **facts)

    report = build_report([served("pytorch-dynamic"), served("onnx-int8")], CostFactors())
    assert headline_plot(report, report.verdicts()) is None
    assert "At an offered rate there is no speed-up" in write_report(report, "html", Style())

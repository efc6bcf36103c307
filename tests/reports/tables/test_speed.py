import pytest
from records import (
    ROUNDS_MS,
    a_failure,
    a_percentile,
    a_quality,
    a_record,
    an_accuracy,
    three_variants,
)

from harness.analysis.statistics.estimates import EnergyEstimate
from harness.records.estimate import Estimate
from harness.records.record import Memory, PlacementFacts, Record
from reports.layout.cell_factory import MODELLED, energy_model
from reports.layout.table_model import Table, TableCell
from reports.tables.speed import speed_tables
from reports.values.figures import all_figures


def the_table(*records: Record) -> Table:
    (table,) = speed_tables(all_figures(records))
    return table


def column(table: Table, heading: str) -> list[TableCell]:
    (index,) = [index for index, column in enumerate(table.columns) if column.heading == heading]
    return [row[index] for row in table.rows]


def note_of(table: Table, cell: TableCell) -> str:
    assert cell.note is not None
    return table.notes[cell.note - 1]


def fact(table: Table, label: str) -> str:
    return next(fact.text for fact in table.facts if fact.label == label)


def test_the_table_holds_quality_ratios_and_absolute_figures() -> None:
    """int8 takes 4 ms and 0.08 J where the baseline takes 20 ms and 0.4 J: 5 times less of each."""
    table = the_table(*three_variants())
    assert [column.heading for column in table.columns] == [
        "variant",
        "accuracy",
        "speed-up over pytorch-fixed",
        "speed-up over pytorch-dynamic",
        "mJ/request, measured",
        "energy reduction over pytorch-fixed",
        "energy reduction over pytorch-dynamic",
        "p50 ms",
        "p90 ms",
        "requests/s",
        "peak MiB",
    ]
    assert table.rows[2] == (
        TableCell("onnx-int8"),
        TableCell("88.0 %", "[86.0, 90.0]"),
        TableCell("5.00x", "[5.00, 5.00]"),
        TableCell("2.50x", "[2.50, 2.50]"),
        TableCell("80.0", "[80.0, 80.0]"),
        TableCell("5.00x", "[5.00, 5.00]"),
        TableCell("2.50x", "[2.50, 2.50]"),
        TableCell("4.00", "[3.92, 4.08]"),
        TableCell("6.00", "[5.88, 6.12]"),
        TableCell("250", "[250, 250]"),
        TableCell("600"),
    )
    assert table.notes == ()
    assert table.warnings == ()


def test_a_reference_is_1_over_itself_and_the_baseline_is_marked() -> None:
    """A reference's own ratio is not a measurement, so it has no interval."""
    table = the_table(*three_variants())
    assert column(table, "speed-up over pytorch-fixed")[0] == TableCell("1 (baseline)")
    assert column(table, "energy reduction over pytorch-dynamic")[1] == TableCell("1 (itself)")


def test_each_run_and_group_has_its_own_table() -> None:
    """Records of two scenarios, or of two runs, never share a table."""
    offline = a_record(cell={"scenario": "offline", "group": "boolq-offline"}, latency={})
    tables = speed_tables(all_figures([a_record(), offline, a_record(run="r2"), a_record("onnx-int8")]))
    assert [len(table.rows) for table in tables] == [2, 1, 1]
    assert "offline" in tables[1].title


def test_the_reason_for_a_missing_reference_is_one_note() -> None:
    """Both of its columns have the same note."""
    table = the_table(a_record(), a_record("onnx-int8"))
    cells = [
        *column(table, "speed-up over pytorch-dynamic"),
        *column(table, "energy reduction over pytorch-dynamic"),
    ]
    assert cells == [TableCell("n/a", note=1)] * 4
    assert table.notes == ("because pytorch-dynamic was not measured in this run.",)


def test_a_failed_cell_keeps_its_row_with_the_reason() -> None:
    """Every cell of the row is `failed`, with one note for all."""
    table = the_table(*three_variants(), a_failure("torch-bf16"))
    name, *cells = table.rows[3]
    assert name == TableCell("torch-bf16 (failed)")
    assert set(cells) == {TableCell("failed", note=1)}
    assert table.notes == ("torch-bf16 failed: the process ran out of memory. Lower --max-length.",)


def test_a_group_of_failures_is_still_a_table() -> None:
    """Nothing was measured, and the report still renders."""
    table = the_table(a_failure("pytorch-fixed"), a_failure("onnx-int8"))
    assert len(table.rows) == 2
    assert fact(table, "harness") == "the cost of the loop was not measured"


def test_a_column_without_a_value_is_headed_without_a_unit() -> None:
    """No joules, no percentile and no memory: seconds, joules and gibibytes of nothing would mislead."""
    latency = {"p50": a_percentile(5, needed=64, have=56)}
    record = a_record(joules=[None] * 7, latency=latency, memory=None)
    headings = [column.heading for column in the_table(record).columns]
    assert {"energy/request", "p50", "peak"} <= {*headings}
    assert not [heading for heading in headings if heading.endswith((" s", " GiB")) or "J/request" in heading]


def test_a_partial_cell_is_marked_in_its_name() -> None:
    """It has fewer rounds than planned."""
    failure = {"kind": "InterruptedRun", "message": "the run was stopped.", "remedy": None}
    table = the_table(a_record(status="partial", failure=failure, rounds_planned=10))
    assert table.rows[0][0].text == "pytorch-fixed (partial)"


def test_every_heading_marks_modelled_joules() -> None:
    """The energy columns alone show it."""
    table = the_table(*three_variants(reading={"grade": "modelled"}))
    energy = [column.heading for column in table.columns if column.part == "energy"]
    assert energy == [
        "mJ/request, modelled",
        "modelled energy reduction over pytorch-fixed",
        "modelled energy reduction over pytorch-dynamic",
    ]
    assert "Joules are modelled: CPU time in other units." in table.remarks


def test_energies_of_two_grades_have_a_note_each_and_no_ratio() -> None:
    """The heading has no grade, each cell has a note, and the ratio is refused."""
    table = the_table(a_record(), a_record("onnx-int8", reading={"grade": "modelled"}))
    cells = column(table, "mJ/request")
    assert [note_of(table, cell) for cell in cells] == ["measured", "modelled"]
    refused = column(table, "modelled energy reduction over pytorch-fixed")[1]
    assert note_of(table, refused) == "because the grade of the energy differs: modelled and measured."


def test_a_ratio_whose_interval_allows_both_answers_is_too_noisy() -> None:
    """Rounds that vary by a third each way: the interval includes 1 and much more than 2 %."""
    noisy = [
        wall * factor for wall, factor in zip(ROUNDS_MS, (0.7, 1.3, 1.0, 0.7, 1.3, 1.0, 1.0), strict=True)
    ]
    table = the_table(a_record(), a_record("onnx-fp32", noisy))
    cell = column(table, "speed-up over pytorch-fixed")[1]
    assert note_of(table, cell).startswith("too noisy to say")
    assert cell.interval


def test_the_note_of_a_percentile_gives_the_number_of_requests_it_needs() -> None:
    """56 examples are too few for a p90: its column has no value, and so no unit."""
    latency = {"p50": a_percentile(5, needed=11, have=56), "p90": a_percentile(7, have=56)}
    table = the_table(a_record(latency=latency))
    (cell,) = column(table, "p90")
    assert note_of(table, cell) == "because p90 needs 64 distinct requests, and there are 56."


def test_a_scenario_without_latencies_has_no_columns_for_them() -> None:
    """Offline sends all requests at once, so single requests have no time."""
    table = the_table(a_record(latency={}))
    assert not [column.heading for column in table.columns if column.heading.startswith("p")][:-1]


def test_a_null_system_has_no_speedup() -> None:
    """A system that does not read its input has no ratio."""
    null = a_record(
        "null",
        (0.01,) * 7,
        placement=PlacementFacts(cpus=(0, 1), threads_requested=2, effective={"reads_input": False}),
        quality=a_quality(metrics={}, unavailable="null does not read its input"),
    )
    table = the_table(*three_variants(), null)
    cell = column(table, "speed-up over pytorch-fixed")[3]
    assert note_of(table, cell) == "because null does not read its input, so it is not a faster model."
    assert "onnx-int8" in fact(table, "harness")


def test_a_value_far_below_its_column_has_its_own_unit() -> None:
    """Milliseconds would show a microsecond as 0.00100."""
    table = the_table(
        *three_variants(),
        a_record("tiny", latency={"p50": a_percentile(0.0004, needed=11), "p90": a_percentile(0.0006)}),
    )
    assert column(table, "p50 ms")[3].text == "400 ns"


def test_every_metric_of_a_task_has_a_column() -> None:
    """CB has two; a variant without one of them has a note."""
    both = a_quality(metrics={"accuracy": an_accuracy(), "macro_f1": an_accuracy(0.8, 0.7, 0.9)})
    table = the_table(a_record(quality=both), a_record("onnx-int8", quality=None, memory=None))
    assert column(table, "macro-F1")[0] == TableCell("80 %", "[70, 90]")
    assert note_of(table, column(table, "macro-F1")[1]) == "because its answers were not scored."
    assert note_of(table, column(table, "peak MiB")[1]) == "because its memory was not read."


def test_warnings_are_shown_once_by_kind() -> None:
    """A warning of two variants has two sentences and one next step; a warning of a run has one sentence."""
    far = a_quality(metrics={"accuracy": an_accuracy(0.5, 0.48, 0.52)})
    table = the_table(
        a_record(profile="quick"),
        a_record("one", profile="quick", quality=far),
        a_record("two", profile="quick", quality=far),
    )
    kinds = {warning.code: warning for warning in table.warnings}
    assert len(kinds["quick-profile"].sentences) == 1
    assert [sentence[:3] for sentence in kinds["near-majority"].sentences] == ["one", "two"]
    assert len(kinds["near-majority"].next_steps) == 1


@pytest.mark.parametrize(
    ("label", "text"),
    [
        ("run", "r1, default profile, seed 0"),
        (
            "data",
            (
                "BoolQ/val, local, 1,000 examples, the official file, best constant answer 62.0 %, "
                "sha256 aaaaaaaaaaaa"
            ),
        ),
        ("model", "bert-base-boolq, local, sha256 bbbbbbbbbbbb"),
        (
            "rounds",
            (
                "7 of 7 in 1 launch; 700 requests per variant over 700 distinct examples; "
                "14.0 s for pytorch-fixed"
            ),
        ),
        ("quality", "from 700 timed and 300 untimed answers"),
        # 200 ns of 4 ms
        ("harness", "the loop costs 200 ns per request, 0.005 % of the fastest variant's time (onnx-int8)"),
        ("meter", "rapl: measured, scope package, source powercap"),
        (
            "host",
            (
                "Example CPU @ 3.0 GHz, 2 usable of 4 logical CPUs, 16.0 GiB, kernel 6.1.0, "
                "fingerprint cccccccccccc"
            ),
        ),
    ],
)
def test_the_facts_describe_what_was_measured(label: str, text: str) -> None:
    """One line each; unknown facts are left out."""
    assert fact(the_table(*three_variants()), label) == text


def test_peak_memory_has_a_unit_and_three_digits() -> None:
    """1.5 GiB are 1,536 MiB: 1,540 with three significant digits."""
    table = the_table(a_record(memory=Memory(peak_bytes=3 * 2**29, counted_as="RSS")))
    assert column(table, "peak MiB") == [TableCell("1,540")]


def test_the_remark_names_the_models_of_other_tools() -> None:
    """Codecarbon's joules are not CPU time in other units."""
    ours, theirs = (
        EnergyEstimate(Estimate(1.0, 1.0, 1.0, 0.95, "median", 3), "modelled", "package", source)
        for source in ("CPU time x 4 W", "codecarbon 3: load x 8 W")
    )
    assert energy_model([ours]) == MODELLED
    assert energy_model([theirs, "no energy"]) == "Joules are modelled: codecarbon 3: load x 8 W."

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
    (at,) = [at for at, found in enumerate(table.columns) if found.heading == heading]
    return [row[at] for row in table.rows]


def why(table: Table, cell: TableCell) -> str:
    assert cell.note is not None
    return table.notes[cell.note - 1]


def fact(table: Table, label: str) -> str:
    return next(fact.text for fact in table.facts if fact.label == label)


def test_the_table_holds_quality_ratios_and_what_they_are_made_of() -> None:
    """int8 takes 4 ms and 0.08 J where the baseline takes 20 ms and 0.4 J: 5 times less of each."""
    table = the_table(*three_variants())
    assert [found.heading for found in table.columns] == [
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


def test_references_are_1_over_themselves_and_the_baseline_is_named() -> None:
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


def test_a_missing_reference_is_absent_with_its_reason_once() -> None:
    """Both of its columns point at the same note."""
    table = the_table(a_record(), a_record("onnx-int8"))
    cells = [
        *column(table, "speed-up over pytorch-dynamic"),
        *column(table, "energy reduction over pytorch-dynamic"),
    ]
    assert cells == [TableCell("n/a", note=1)] * 4
    assert table.notes == ("because pytorch-dynamic was not measured in this run.",)


def test_a_failed_cell_keeps_its_row_and_says_why() -> None:
    """Every cell of the row says that it failed, with one note between them."""
    table = the_table(*three_variants(), a_failure("torch-bf16"))
    name, *cells = table.rows[3]
    assert name == TableCell("torch-bf16 (failed)")
    assert set(cells) == {TableCell("failed", note=1)}
    assert table.notes == ("torch-bf16 failed: the process ran out of memory. Lower --max-length.",)


def test_a_group_of_failures_is_still_a_table() -> None:
    """Nothing was measured, and the report says so instead of breaking."""
    table = the_table(a_failure("pytorch-fixed"), a_failure("onnx-int8"))
    assert len(table.rows) == 2
    assert fact(table, "harness") == "the cost of the loop was not measured"


def test_a_partial_cell_is_marked_in_its_name() -> None:
    """What rests on fewer rounds than planned says so where it is read."""
    failure = {"kind": "InterruptedRun", "message": "the run was stopped.", "remedy": None}
    table = the_table(a_record(status="partial", failure=failure, rounds_planned=10))
    assert table.rows[0][0].text == "pytorch-fixed (partial)"


def test_modelled_joules_are_called_so_in_every_heading() -> None:
    """A reader of the energy columns alone still sees it."""
    table = the_table(*three_variants(reading={"grade": "modelled"}))
    energy = [found.heading for found in table.columns if found.part == "energy"]
    assert energy == [
        "mJ/request, modelled",
        "modelled energy reduction over pytorch-fixed",
        "modelled energy reduction over pytorch-dynamic",
    ]
    assert "Joules are modelled: CPU time in other units." in table.remarks


def test_energies_of_two_grades_are_marked_one_by_one_and_not_compared() -> None:
    """The heading claims no grade; each cell's note does; the ratio is refused."""
    table = the_table(a_record(), a_record("onnx-int8", reading={"grade": "modelled"}))
    cells = column(table, "mJ/request")
    assert [why(table, cell) for cell in cells] == ["measured", "modelled"]
    refused = column(table, "modelled energy reduction over pytorch-fixed")[1]
    assert why(table, refused) == "because the grade of the energy differs: modelled and measured."


def test_a_ratio_whose_interval_holds_both_answers_is_too_noisy_to_say() -> None:
    """Rounds that swing by a third each way: the interval holds 1 and much more than 2 %."""
    noisy = [
        wall * factor for wall, factor in zip(ROUNDS_MS, (0.7, 1.3, 1.0, 0.7, 1.3, 1.0, 1.0), strict=True)
    ]
    table = the_table(a_record(), a_record("onnx-fp32", noisy))
    cell = column(table, "speed-up over pytorch-fixed")[1]
    assert why(table, cell).startswith("too noisy to say")
    assert cell.interval


def test_percentiles_with_too_few_requests_say_how_many_they_need() -> None:
    """56 examples carry no p90, and the unit of the column is that of p50."""
    latency = {"p50": a_percentile(5, needed=11, have=56), "p90": a_percentile(7, have=56)}
    table = the_table(a_record(latency=latency))
    (cell,) = column(table, "p90 ms")
    assert why(table, cell) == "because p90 needs 64 distinct requests, and there are 56."


def test_a_scenario_without_latencies_has_no_columns_for_them() -> None:
    """Offline asks everything at once: there is no time of one request to show."""
    table = the_table(a_record(latency={}))
    assert not [found.heading for found in table.columns if found.heading.startswith("p")][:-1]


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
    assert why(table, cell) == "because null does not read its input, so it is not a faster model."
    assert "onnx-int8" in fact(table, "harness")


def test_a_value_far_below_its_column_brings_its_own_unit() -> None:
    """Milliseconds would show a microsecond as 0.00100."""
    table = the_table(
        *three_variants(),
        a_record("tiny", latency={"p50": a_percentile(0.0004, needed=11), "p90": a_percentile(0.0006)}),
    )
    assert column(table, "p50 ms")[3].text == "400 ns"


def test_every_metric_of_a_task_has_a_column() -> None:
    """CB is scored by two; a variant without one of them says why."""
    both = a_quality(metrics={"accuracy": an_accuracy(), "macro_f1": an_accuracy(0.8, 0.7, 0.9)})
    table = the_table(a_record(quality=both), a_record("onnx-int8", quality=None, memory=None))
    assert column(table, "macro-F1")[0] == TableCell("80 %", "[70, 90]")
    assert why(table, column(table, "macro-F1")[1]) == "because its answers were not scored."
    assert why(table, column(table, "peak MiB")[1]) == "because its memory was not read."


def test_warnings_are_shown_once_by_kind() -> None:
    """Two variants with one warning: two sentences, one next step; a run's warning is one sentence."""
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
def test_a_table_says_what_was_measured(label: str, text: str) -> None:
    """One line each; facts that the machine does not tell are left out."""
    assert fact(the_table(*three_variants()), label) == text


def test_peak_memory_has_a_unit_and_three_digits() -> None:
    """1.5 GiB are 1,536 MiB: 1,540 with three significant digits."""
    table = the_table(a_record(memory=Memory(peak_bytes=3 * 2**29, counted_as="RSS")))
    assert column(table, "peak MiB") == [TableCell("1,540")]


def test_other_tools_models_are_named_instead_of_ours() -> None:
    """Codecarbon's joules are not CPU time in other units."""
    ours, theirs = (
        EnergyEstimate(Estimate(1.0, 1.0, 1.0, 0.95, "median", 3), "modelled", "package", source)
        for source in ("CPU time x 4 W", "codecarbon 3: load x 8 W")
    )
    assert energy_model([ours]) == MODELLED
    assert energy_model([theirs, "no energy"]) == "Joules are modelled: codecarbon 3: load x 8 W."

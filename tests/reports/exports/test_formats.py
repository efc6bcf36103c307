"""Formats for other programs, with names as hostile as file names can be."""

import csv
import io
import json
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hostile import HOSTILE, hostile_texts
from hypothesis import given, settings
from records import a_failure, a_ladder, a_record, three_variants

from harness.records.record import Record
from reports import FILES, FORMATS, CostFactors, Grid, Price, Style, build_report, files_of, write_report
from reports.exports import TEXTS
from reports.exports.pytest_benchmark import stats

GRID = CostFactors((Price(1.0, "x"),), Grid(500.0, "a grid"))


def text(form: str, records: list[Record], factors: CostFactors = GRID) -> str:
    return write_report(build_report(records, factors), form, Style())


def both(records: list[Record]) -> dict[str, list[dict[str, Any]]]:
    files = files_of(build_report(records, GRID), "github-action-benchmark", Style())
    assert files is not None
    return {name: json.loads(payload) for name, payload in files.items()}


def test_the_github_action_has_a_file_per_direction_with_stable_names() -> None:
    """20 ms per request; int8 is 5 times as fast; a name holds nothing of the run."""
    files = both(three_variants())
    small = {entry["name"]: entry for entry in files["smaller-is-better.json"]}
    big = {entry["name"]: entry for entry in files["bigger-is-better.json"]}
    cell = "(cpu, single-stream, encoded, 2 threads, batch 1, 256 tokens)"
    entry = small[f"boolq/pytorch-fixed {cell}: latency_p50"]
    assert (entry["unit"], entry["value"], entry["range"]) == ("ns", 20e6, "± 400000")
    assert "95 % interval" in entry["extra"]
    assert big[f"boolq/onnx-int8 {cell}: speed_up over pytorch-fixed"]["value"] == pytest.approx(5)
    assert not any("r1" in name for name in (*small, *big))
    assert not any("speed_up over onnx-int8" in name for name in big)
    assert both([])["smaller-is-better.json"] == []


def test_names_include_the_run_where_cells_repeat() -> None:
    """A tracker would compare two entries of one name with each other."""
    files = both([*three_variants(), *three_variants(run="r2")])
    names = [entry["name"] for entries in files.values() for entry in entries]
    assert len(names) == len(set(names))


def test_pytest_benchmark_has_seconds_per_request_for_each_round() -> None:
    """Rounds of 100 requests at 500, 510, ... ms: 5 ms is the median, 4.9 and 5.1 ms the ends."""
    (benchmark,) = json.loads(text("pytest-benchmark", [a_record()]))["benchmarks"]
    numbers = benchmark["stats"]
    assert (numbers["rounds"], numbers["iterations"], len(numbers["data"])) == (7, 100, 7)
    ends = [numbers[name] for name in ("min", "median", "max")]
    assert ends == pytest.approx([0.0049, 0.005, 0.0051])
    energy = benchmark["extra_info"]["measures"]["energy_per_request"]
    assert (energy["unit"], energy["grade"], energy["value"]) == (
        "J",
        "measured",
        pytest.approx(0.1, rel=1e-3),
    )


def test_statistics_of_a_case_computed_by_hand() -> None:
    """1, 2, 3, 4, 100: quartiles 2 and 4, fences -1 and 7; the standard deviation, 43.6, has 100 outside."""
    numbers = stats([4.0, 1.0, 100.0, 3.0, 2.0])
    assert (numbers["q1"], numbers["median"], numbers["q3"], numbers["iqr"]) == (2, 3, 4, 2)
    assert (numbers["ld15iqr"], numbers["hd15iqr"], numbers["outliers"]) == (1, 4, "1;1")
    assert (numbers["total"], numbers["mean"], numbers["ops"]) == (110, 22, 5 / 110)
    assert stats([2.0])["stddev"] == 0


def test_bencher_has_its_own_measures_and_slugs() -> None:
    """`latency` is in nanoseconds; a measure without an interval has no bounds."""
    (measures,) = json.loads(text("bencher", [a_record()])).values()
    assert measures["latency"]["lower_value"] <= measures["latency"]["value"] == pytest.approx(5e6, rel=1e-3)
    assert measures["peak-memory"] == {"value": 600 * 2**20}
    assert all(name == name.lower() and len(name) <= 64 for name in measures)


def test_junit_has_a_case_for_each_record_and_verdict() -> None:
    """A failed record is an error, slower a failure; no verdict is skipped; the baseline has none."""
    slow = a_record("onnx-fp32", (4000.0,) * 7)
    root = ET.fromstring(text("junit", [*three_variants(), slow, a_failure("torch-bf16")]))
    (suite,) = root
    cases = {case.get("name"): [child.tag for child in case if child.tag != "system-out"] for case in suite}
    assert cases["onnx-int8: measured"] == cases["onnx-int8: speed-up over pytorch-fixed"] == []
    assert cases["onnx-fp32: speed-up over pytorch-fixed"] == ["failure"]
    assert cases["torch-bf16: measured"] == ["error"]
    assert not any(str(name).startswith("pytorch-fixed: speed-up") for name in cases)
    counts = [int(suite.get(name) or 0) for name in ("tests", "errors", "failures")]
    assert counts == [len(cases), 1, sum(tags == ["failure"] for tags in cases.values())]


def test_a_parser_of_junit_reads_it() -> None:
    """A library for such files finds names, counts and outcomes."""
    parser = pytest.importorskip("junitparser", reason="it is not installed")
    (suite,) = parser.JUnitXml.fromstring(
        text("junit", [*three_variants(), a_failure("torch-bf16")]).encode()
    )
    failed = [case for case in suite if any(isinstance(result, parser.Error) for result in case.result)]
    assert [case.name for case in failed] == ["torch-bf16: measured"]
    assert (suite.tests, suite.errors) == (len(list(suite)), 1)


def test_a_ladder_has_cases_for_rungs_over_rungs() -> None:
    """Its ratios are over the rung below and over the first."""
    names = [case.get("name") for suite in ET.fromstring(text("junit", a_ladder())) for case in suite]
    assert {"int8: speed-up over distilled", "int8: speed-up over fixed"} <= set(names)


def test_annotations_are_one_line_each_with_failures_first() -> None:
    """A failed cell is an error; each kind of warning is one annotation."""
    lines = text(
        "github-annotations", [a_failure("a:b,c%\n::error::x"), a_record(profile="quick")]
    ).splitlines()
    assert lines[0].startswith("::error title=a%3Ab%2Cc%25 %3A%3Aerror%3A%3Ax on boolq%3A failed::")
    assert len({line.split("::")[1] for line in lines}) == len(lines)
    assert all(line.startswith(("::error title=", "::warning title=")) for line in lines)


def test_a_summary_is_markdown_within_githubs_limit() -> None:
    """A report of more than 1 MiB ends at a table, with a note."""
    assert text("github-summary", three_variants()).startswith("## bench\n\n**Verdict.** onnx-int8 ")
    records = [a_record(f"{name}{'x' * 2000}", cell={"group": str(name)}) for name in range(300)]
    cut = text("github-summary", records)
    assert len(cut.encode()) <= 2**20
    assert "more tables are left out" in cut


def test_codecarbon_has_its_columns_in_its_units() -> None:
    """Seven rounds of 0.1 J x 100 requests are 70 J; at 500 g/kWh 70 / 3.6e6 kWh are 9.7 mg."""
    pytest.importorskip("codecarbon")
    from codecarbon.output_methods.emissions_data import EmissionsData

    (row,) = csv.DictReader(io.StringIO(text("codecarbon", [a_record(wall_ms=(500.0,) * 7)])))
    assert set(EmissionsData.__dataclass_fields__) <= set(row)
    numbers = {
        name: float(row[name])
        for name in ("duration", "cpu_energy", "energy_consumed", "cpu_power", "emissions")
    }
    assert numbers == pytest.approx(
        {
            "duration": 3.5,
            "cpu_energy": 70 / 3.6e6,
            "energy_consumed": 70 / 3.6e6,
            "cpu_power": 20.0,
            "emissions": 35 / 3.6e6,
        }
    )
    assert (row["gpu_energy"], row["country_name"], row["water_consumed"], row["grade"]) == (
        "",
        "",
        "",
        "measured",
    )


def test_parquet_holds_the_rows_of_the_csv_with_their_types() -> None:
    """Numbers are numbers, and absent values are null."""
    parquet = pytest.importorskip("pyarrow.parquet", reason="the extra `parquet` is not installed")
    files = files_of(build_report([*a_ladder(), a_failure("x")], GRID), "parquet", Style())
    assert files is not None
    rows = parquet.read_table(io.BytesIO(files["report.parquet"])).to_pylist()
    assert len(rows) == len(text("csv", [*a_ladder(), a_failure("x")]).splitlines()) - 1
    assert {type(row["value"]) for row in rows} == {float, type(None)}
    assert all(row["value"] is not None or row["footnote"] for row in rows)


@pytest.mark.parametrize("form", sorted({*TEXTS, "github-action-benchmark"} - {"github-annotations"}))
def test_every_format_marks_modelled_joules_as_cpu_time(form: str) -> None:
    """Measured joules have no such mark."""

    def shown(grade: str) -> str:
        report = build_report(three_variants(reading={"grade": grade}), GRID)
        files = files_of(report, form, Style())
        return write_report(report, form, Style()) if files is None else b"".join(files.values()).decode()

    mark = "modelled-cpu-time" if form == "bencher" else "CPU time in other units"
    assert mark in shown("modelled")
    assert mark not in shown("measured")


@given(hostile_texts, hostile_texts)
@settings(deadline=None, max_examples=25)
def test_no_name_breaks_a_format(name: str, message: str) -> None:
    """JSON and XML parse, annotations stay on their lines, no row of CSV gains a column, nothing is a NaN."""
    records = [a_record(name, cell={"id": name}), a_failure(name, message)]
    ET.fromstring(text("junit", records))
    for form in ("bencher", "pytest-benchmark"):
        json.loads(text(form, records), parse_constant=pytest.fail)
    both(records)
    assert all(line.startswith("::") for line in text("github-annotations", records).splitlines())
    rows = list(csv.reader(io.StringIO(text("codecarbon", records))))
    assert len({len(row) for row in rows}) == 1
    assert not [cell for row in rows for cell in row if cell.lstrip()[:1] in ("=", "+", "@")]


def test_every_number_is_finite_and_every_format_accepts_an_empty_report() -> None:
    """No record, a failed one, a record without rounds."""
    for records in ([], [a_failure(HOSTILE[0])], [a_record(wall_ms=())]):
        for form in TEXTS:
            assert "NaN" not in text(form, records)
    assert not set(FORMATS) & set(FILES)

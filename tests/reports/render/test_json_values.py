import json
import subprocess
import sys
from typing import Any

import pytest
from records import a_failure, a_percentile, a_quality, a_record, three_variants

import reports
from harness.analysis.statistics.ratios import Ratio
from harness.common.errors import UsageError
from reports import CostFactors
from reports.render import markdown, terminal
from reports.render.json_values import as_value, with_rows
from reports.report import build_report, tables_of
from reports.values.figures import all_figures
from reports.values.multiple_testing import in_one_family

ONE_PROCESS = "trimmed mean of paired rounds, t interval over rounds, within one process"


def rows_of(*records: Any) -> list[dict[str, Any]]:
    report = json.loads(reports.render_records(records, "json"), parse_constant=pytest.fail)
    assert report["schema_version"] == 1
    rows: list[dict[str, Any]] = report["rows"]
    return rows


def test_ratios_are_under_the_name_of_their_reference() -> None:
    """5 times the baseline, with interval, level, method, count and verdict."""
    row = rows_of(*three_variants())[2]
    five = {"value": 5.0, "low": 5.0, "high": 5.0, "confidence": 0.95, "method": ONE_PROCESS, "count": 7}
    five |= {"launches": 1, "p": 0.0, "standard_error": 0.0, "of": "totals"}  # rounds are equal
    assert row["variant"] == "onnx-int8"
    ratio = row["speedup"]["over"]["pytorch-fixed"]
    five["freedom"] = ratio["freedom"]
    assert ratio == pytest.approx({**five, "verdict": "faster"})
    energy = row["energy_reduction"]
    assert energy["grade"] == "measured"
    assert energy["over"]["pytorch-fixed"] == pytest.approx(
        {**five, "method": f"{ONE_PROCESS}, widened by the meter's resolution", "verdict": "less energy"}
    )


def test_a_ratio_has_the_typical_request_that_its_verdict_rests_on() -> None:
    """The ratio of totals, beside it, allows no change; that of the typical request does not."""
    ratio = Ratio(1.05, 1.04, 1.06, 0.95, "m", 22, "t", "speed-up", p=1e-6, totals=(1.0, 0.9, 1.1))
    fields = as_value(ratio)
    assert fields["totals"] == {"value": 1.0, "low": 0.9, "high": 1.1}
    assert (fields["of"], fields["value"], fields["verdict"]) == ("the typical request", 1.05, "faster")


def test_numbers_are_unrounded_and_in_base_units() -> None:
    """Nanoseconds, joules, bytes, requests per second."""
    row = rows_of(a_record(wall_ms=(333.0,) * 7))[0]
    assert row["time_per_request_ns"]["value"] == pytest.approx(3_330_000)
    assert row["throughput_per_s"]["value"] == pytest.approx(300.3003)
    assert row["joules_per_request"]["value"] == pytest.approx(0.0666)
    assert {name: row["joules_per_request"][name] for name in ("grade", "scope", "source")} == {
        "grade": "measured",
        "scope": "package",
        "source": "powercap",
    }
    assert row["peak_memory_bytes"] == 600 * 2**20
    assert row["quality"]["accuracy"]["low"] == 0.86
    assert row["latency_ns"]["p50"]["value"] == pytest.approx(3_330_000)


def test_an_absent_value_has_a_reason() -> None:
    """Unavailable or refused; a refusal names its field."""
    record = a_record(
        wall_ms=(10,) * 7,
        joules=(None,) * 7,
        latency={"p90": a_percentile(5, have=56)},
        quality=a_quality(metrics={}, unavailable="the model is untrained"),
        memory=None,
    )
    row = rows_of(record)[0]
    assert row["joules_per_request"] == {"unavailable": "because package-0: permission was denied"}
    assert row["latency_ns"]["p90"] == {
        "unavailable": "because p90 needs 64 distinct requests, and there are 56"
    }
    assert row["quality"]["accuracy"] == {"unavailable": "because the model is untrained"}
    assert row["peak_memory_bytes"] == {"unavailable": "because its memory was not read"}
    assert row["speedup"]["over"]["pytorch-dynamic"] == {
        "unavailable": "because pytorch-dynamic was not measured in this run"
    }
    assert row["energy_reduction"]["grade"] == "unavailable"
    assert row["energy_reduction"]["over"]["pytorch-fixed"]["field"] == "energy"


def test_a_failed_cell_is_a_row_with_its_failure() -> None:
    """Every number is unavailable for the same reason."""
    row = rows_of(a_failure("onnx-int8"))[0]
    assert row["status"] == "failed"
    assert row["failure"]["message"] == "the process ran out of memory."
    assert row["throughput_per_s"]["unavailable"].startswith("because onnx-int8 failed")


def test_warnings_come_with_their_next_steps() -> None:
    """As in the text, but per row."""
    row = rows_of(a_record(profile="quick"))[0]
    (warning,) = row["warnings"]
    assert warning["code"] == "quick-profile"
    assert set(warning) == {"code", "sentence", "next_step"}


def test_no_records_are_no_rows() -> None:
    """The report is still valid."""
    assert rows_of() == []


def test_formats_have_names() -> None:
    """Each renders like its own function; the error for an unknown one lists the names."""
    records = three_variants()
    (table,) = tables_of(build_report(records, CostFactors()))
    text, _, _ = reports.render_records(records, "text", width=120).partition("\nVerdict\n")
    assert text == terminal.render_table(table, width=120)
    assert reports.render_records(records, "markdown").endswith(f"\n{markdown.render_table(table)}")
    verdicts = {"verdicts": json.loads(reports.render_records(records, "json"))["verdicts"]}
    assert reports.render_records(records, "json") == with_rows(verdicts, in_one_family(all_figures(records)))
    with pytest.raises(UsageError, match="markdown"):
        reports.render_records(records, "markdwon")


def test_importing_reports_loads_nothing_heavy() -> None:
    """`bench --help` starts fast."""
    heavy = ("torch", "transformers", "onnxruntime", "scipy", "sklearn", "pandas", "matplotlib", "rich")
    code = f"import reports, sys; print([name for name in {heavy!r} if name in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout == "[]\n"

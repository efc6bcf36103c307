"""The column of the int8 limit: every format has it where the limit was measured, and none elsewhere."""

import csv
import io
import json
from dataclasses import replace

import pytest
from records import a_record

from harness.records.record import ComputeLimit, ComputePeak, PlacementFacts, Record
from reports import CostFactors, render_records
from reports.exports.tidy.tidy_csv import as_csv
from reports.report import build_report
from reports.tables.compute_limit import HEADING, SKIPPED, SKIPPED_REMARK
from reports.tables.ladder import ladder_tables
from reports.tables.speed import speed_tables
from reports.values.figures import all_figures

WORK = {"per_token": 2_000_000, "per_pair": 0, "hidden": 8, "ffn": 32}
LIMIT = ComputeLimit(
    threads=2, peaks={"int8": ComputePeak(instruction="vpdpbusd, 512 bits", before=400e9, after=390e9)}
)


def measured(limit: ComputeLimit | None, variant: str = "pytorch-fixed", work: bool = True) -> Record:
    """Return a record of 50 tokens per request in 5 ms: 20 G/s, 5 % of 400."""
    record = a_record(variant)
    rounds = tuple(replace(turn, token_squares=0) for turn in record.rounds)
    placement = PlacementFacts(cpus=(0, 1), threads_requested=2, effective={"work": WORK} if work else {})
    return record.model_copy(update={"rounds": rounds, "limit": limit, "placement": placement})


def test_the_column_is_beside_the_speed_and_a_remark_explains_it() -> None:
    """5.0 %; a system that does not report its arithmetic has a note instead."""
    (table,) = speed_tables(all_figures([measured(LIMIT), measured(LIMIT, "onnx-int8", work=False)]))
    index = [column.heading for column in table.columns].index(HEADING)
    first, second = (row[index] for row in table.rows)
    assert first.text.startswith("5.0")
    assert second.text == "n/a"
    assert any("does not report its operations per token" in note for note in table.notes)
    (remark,) = [line for line in table.remarks if line.startswith(HEADING)]
    assert "400.0 x 10^9 int8 operations a second (vpdpbusd, 512 bits)" in remark
    assert "2 threads" in remark


def test_skipped_operations_have_a_column_of_their_own() -> None:
    """At equal work: two engines as fast as one another have the same share, also where one skips a fifth."""
    skips = measured(LIMIT, "native-int8")
    assert skips.placement
    less = {"work": {**WORK, "per_token": 1_600_000}, "skipped": {"per_token": 400_000, "per_pair": 0}}
    placement = skips.placement.model_copy(update={"effective": less})
    skips = skips.model_copy(update={"placement": placement})
    (table,) = speed_tables(all_figures([measured(LIMIT), skips]))
    headings = [column.heading for column in table.columns]
    shares = [row[headings.index(HEADING)].text for row in table.rows]
    assert shares[0] == shares[1]
    assert [row[headings.index(SKIPPED)].text for row in table.rows] == ["0 %", "20.0 %"]
    assert SKIPPED_REMARK in table.remarks
    (_, fields) = json.loads(render_records([measured(LIMIT), skips], "json"))["rows"]
    assert fields["skipped_operations"] == pytest.approx(0.2)


def test_without_skipped_operations_there_is_no_column_of_them() -> None:
    """Nor a remark."""
    (table,) = speed_tables(all_figures([measured(LIMIT)]))
    assert SKIPPED not in [column.heading for column in table.columns]
    assert SKIPPED_REMARK not in table.remarks


def test_without_the_limit_reports_do_not_change() -> None:
    """No column, no remark, no row, no key."""
    records = [measured(None)]
    (table,) = speed_tables(all_figures(records))
    assert HEADING not in [column.heading for column in table.columns]
    assert not any(HEADING in line for line in table.remarks)
    assert "limit" not in json.loads(render_records(records, "json"))["rows"][0]
    assert "limit" not in as_csv(build_report(records, CostFactors())).replace("limit is", "")


def test_json_and_csv_hold_the_share_and_the_peaks_unrounded() -> None:
    """A share with its interval; operations per second with the instruction as the footnote."""
    records = [measured(LIMIT)]
    (fields,) = json.loads(render_records(records, "json"))["rows"]
    assert fields["share_of_int8_limit"]["value"] == pytest.approx(0.05, rel=1e-3)
    assert fields["limit"]["peaks"]["int8"]["after"] == 390e9
    rows = {
        row["quantity"]: row
        for row in csv.DictReader(io.StringIO(as_csv(build_report(records, CostFactors()))))
    }
    assert float(rows["share_of_int8_limit"]["value"]) == pytest.approx(0.05, rel=1e-3)
    assert float(rows["limit_int8"]["value"]) == 400e9
    assert "vpdpbusd" in rows["limit_int8"]["footnote"]


def test_a_ladder_has_the_column_for_both_scenarios() -> None:
    """Beside the speed of offline, and beside the latency of single requests."""
    rungs = [{"name": "pytorch-fixed"}, {"name": "int8", "over": "pytorch-fixed"}]
    records = []
    for scenario in ("offline", "single-stream"):
        record = measured(LIMIT)
        cell = record.cell.model_copy(update={"scenario": scenario, "group": scenario, "id": scenario})
        records.append(
            record.model_copy(
                update={"cell": cell, "configuration": {"ladder": {"name": "rivals", "rungs": rungs}}}
            )
        )
    (ladder,) = build_report(records, CostFactors()).ladders
    tables = [
        table for table in ladder_tables(ladder) if HEADING in [column.heading for column in table.columns]
    ]
    assert tables[0].title.startswith("Speed")
    assert tables[1].title.startswith("Latency of single requests")
    for table in tables:
        index = [column.heading for column in table.columns].index(HEADING)
        assert table.rows[0][index].text.startswith("5.0")
        assert table.rows[1][index].text == "n/a", "a rung that was not measured"
    assert any(line.startswith(HEADING) for line in tables[0].remarks)

"""The column of the limit: where it was measured it is in every form of a report, elsewhere in none."""

import csv
import io
import json

import pytest
from records import a_record

from harness.records.record import ComputeLimit, ComputePeak, PlacementFacts, Record
from reports.exports.tidy_csv import as_csv
from reports.render.json_values import as_json
from reports.report import CostFactors, build_report
from reports.tables.compute_limit import HEADING
from reports.tables.ladder import ladder_tables
from reports.tables.speed import speed_table

WORK = {"per_token": 2_000_000, "per_pair": 0, "hidden": 8, "ffn": 32}
LIMIT = ComputeLimit(
    threads=2, peaks={"int8": ComputePeak(instruction="vpdpbusd, 512 bits", before=400e9, after=390e9)}
)


def measured(limit: ComputeLimit | None, variant: str = "pytorch-fixed", work: bool = True) -> Record:
    """Return a record of 50 tokens a request in 5 ms: 20 G/s, 5 % of 400."""
    record = a_record(variant)
    seen = tuple(item.model_copy(update={"token_squares": 0}) for item in record.rounds)
    placed = PlacementFacts(cpus=(0, 1), threads_requested=2, effective={"work": WORK} if work else {})
    return record.model_copy(update={"rounds": seen, "limit": limit, "placement": placed})


def test_the_column_stands_beside_the_speed_and_says_what_it_is_of() -> None:
    """5.0 %; a system that does not tell its arithmetic has a note instead."""
    (table,) = speed_table([measured(LIMIT), measured(LIMIT, "onnx-int8", work=False)])
    at = [column.heading for column in table.columns].index(HEADING)
    first, second = (row[at] for row in table.rows)
    assert first.text.startswith("5.0")
    assert second.text == "n/a"
    assert any("does not report its operations" in note for note in table.notes)
    (said,) = [line for line in table.remarks if line.startswith(HEADING)]
    assert "400.0 x 10^9 int8 operations a second (vpdpbusd, 512 bits)" in said
    assert "2 threads do" in said


def test_without_it_nothing_changes() -> None:
    """No column, no remark, no row, no key."""
    records = [measured(None)]
    (table,) = speed_table(records)
    assert HEADING not in [column.heading for column in table.columns]
    assert not any(HEADING in line for line in table.remarks)
    assert "limit" not in json.loads(as_json(records))["rows"][0]
    assert "limit" not in as_csv(build_report(records, CostFactors())).replace("limit is", "")


def test_files_carry_the_share_and_the_peaks_unrounded() -> None:
    """A share with its interval; operations per second with the instruction as the footnote."""
    records = [measured(LIMIT)]
    (row,) = json.loads(as_json(records))["rows"]
    assert row["share_of_int8_limit"]["value"] == pytest.approx(0.05)
    assert row["limit"]["peaks"]["int8"]["after"] == 390e9
    rows = {
        each["quantity"]: each
        for each in csv.DictReader(io.StringIO(as_csv(build_report(records, CostFactors()))))
    }
    assert float(rows["share_of_int8_limit"]["value"]) == pytest.approx(0.05)
    assert float(rows["limit_int8"]["value"]) == 400e9
    assert "vpdpbusd" in rows["limit_int8"]["footnote"]


def test_a_ladder_has_it_for_both_scenarios() -> None:
    """Beside the speed of offline, and beside the latency of single requests."""
    rungs = [{"name": "pytorch-fixed"}, {"name": "int8", "over": "pytorch-fixed"}]
    records = []
    for scenario in ("offline", "single-stream"):
        made = measured(LIMIT)
        cell = made.cell.model_copy(update={"scenario": scenario, "group": scenario, "id": scenario})
        records.append(
            made.model_copy(
                update={"cell": cell, "configuration": {"ladder": {"name": "rivals", "rungs": rungs}}}
            )
        )
    (found,) = build_report(records, CostFactors()).ladders
    tables = [table for table in ladder_tables(found) if HEADING in [each.heading for each in table.columns]]
    assert tables[0].title.startswith("Speed")
    assert tables[1].title.startswith("Latency of single requests")
    for table in tables:
        at = [column.heading for column in table.columns].index(HEADING)
        assert table.rows[0][at].text.startswith("5.0")
        assert table.rows[1][at].text == "n/a", "a rung that was not measured"
    assert any(line.startswith(HEADING) for line in tables[0].remarks)

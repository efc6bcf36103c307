"""The programs that formats are for read them; tests are skipped where a program is not installed."""

import csv
import io
import subprocess
import sys
from pathlib import Path

import pytest
from records import a_record, three_variants

from reports import CostFactors, Grid, Price, Style, build_report, write_report

GRID = CostFactors((Price(1.0, "x"),), Grid(500.0, "a grid"))


def test_pytest_benchmark_compares_two_reports(tmp_path: Path) -> None:
    """Its command lists every variant of both runs, with the medians of the report."""
    pytest.importorskip("pytest_benchmark", reason="pytest-benchmark is not installed")
    for run in ("r1", "r2"):
        text = write_report(build_report(three_variants(run=run), GRID), "pytest-benchmark", Style())
        (tmp_path / f"000{run[1]}_{run}.json").write_text(text)
    reports = map(str, sorted(tmp_path.glob("*.json")))
    command = [sys.executable, "-m", "pytest_benchmark", "compare", *reports, "--csv", str(tmp_path / "out")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out.csv").read_text())))
    medians = {row["param:variant"]: float(row["median"]) for row in rows}
    assert sorted(row["param:variant"] for row in rows) == sorted(2 * list(medians))
    assert medians["pytorch-fixed"] == pytest.approx(5 * medians["onnx-int8"])
    assert "onnx-int8" in done.stdout


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_board_of_codecarbon_shows_a_report() -> None:
    """The module of `carbonboard` sums a project: seven rounds of 70 J in total, at 500 g/kWh."""
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("dash", reason="the extra `carbonboard` of codecarbon is not installed")
    from codecarbon.viz.data import Data

    text = write_report(build_report([a_record(wall_ms=(500.0,) * 7)], GRID), "codecarbon", Style())
    frame = pandas.read_csv(io.StringIO(text))
    board = Data()
    rows = board.get_project_data(frame, frame["project_name"][0]).data
    total = board.get_project_summary(rows)["total"]
    assert (total["duration"], total["energy_consumed"]) == (3.5, pytest.approx(70 / 3.6e6))
    assert total["emissions"] == pytest.approx(35 / 3.6e6)


def test_a_data_frame_has_the_csv_with_its_types() -> None:
    """Numbers are numbers; each record and quantity has one row."""
    pandas = pytest.importorskip("pandas")
    frame = pandas.read_csv(io.StringIO(write_report(build_report(three_variants(), GRID), "csv", Style())))
    times = frame[frame["quantity"] == "time_per_request"].set_index("variant")["value"]
    assert times["pytorch-fixed"] == pytest.approx(5 * times["onnx-int8"])
    assert not frame.duplicated(["run", "cell", "quantity", "over", "source"]).any()

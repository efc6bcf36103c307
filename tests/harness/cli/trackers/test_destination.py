from pathlib import Path

import numpy as np
import pytest
from records import three_variants
from worlds import World

from harness.cli.app import call
from harness.cli.trackers import destination
from harness.cli.trackers.destination import send
from harness.cli.trackers.outcome import Logged
from harness.common.errors import UsageError
from harness.records.facts import UNFINISHED
from harness.records.store import RunFolder
from reports import CostFactors, build_report
from reports.exports.tracked import TrackedRecord, tracked_records

REPORT = build_report(three_variants(), CostFactors())


def test_an_unknown_tracker_and_one_that_is_not_installed_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With what to name, or what to install."""
    with pytest.raises(UsageError, match="unknown tracker 'mlfow'") as unknown:
        send(REPORT, "mlfow")
    assert "mlflow" in str(unknown.value.remedy)
    monkeypatch.setattr(destination, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match="needs the library wandb, which is not installed") as missing:
        send(REPORT, "wandb")
    assert missing.value.remedy == "Install it: pip install wandb"


def test_an_unfinished_run_is_not_sent() -> None:
    """Its figures would stand beside those of finished runs."""
    records = [record.model_copy(update={"status": UNFINISHED}) for record in three_variants()]
    with pytest.raises(UsageError, match="the run is not finished"):
        send(build_report(records, CostFactors()), "mlflow")


def test_the_report_command_sends_what_it_would_print(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And prints where the records are instead."""
    world, sent = World(tmp_path), []
    folder = RunFolder(world.store / "runs" / "r1")
    folder.path.mkdir(parents=True)
    for record in three_variants():
        folder.seal(record, {"call_ns": np.array([20e6, 21e6, 22e6])})

    def log(records: list[TrackedRecord]) -> Logged:
        sent.extend(records)
        return Logged(2, 1, "a place")

    monkeypatch.setitem(destination.TRACKERS, "mlflow", log)
    monkeypatch.setattr(destination, "find_spec", lambda _: destination)
    monkeypatch.setattr(destination, "origin", "somewhere", raising=False)
    assert call(["report", "r1", "--to", "mlflow"], world.context()) == 0
    assert capsys.readouterr().out == "Logged 2 records to mlflow: a place; 1 were there already\n"
    assert {one.record.cell.variant for one in sent} == {record.cell.variant for record in three_variants()}


def test_metrics_have_units_and_the_ends_of_their_intervals() -> None:
    """Of quality, latency, throughput, energy, memory and ratios, as the measures have them."""
    tracked = next(one for one in tracked_records(REPORT) if one.record.cell.variant == "onnx-int8")
    assert tracked.metrics["peak_memory_bytes"] == tracked.record.memory.peak_bytes  # type: ignore[union-attr]
    quality = tracked.record.quality.metrics["accuracy"]  # type: ignore[union-attr]
    assert [tracked.metrics[f"accuracy{end}"] for end in ("", "_low", "_high")] == [
        quality.value,
        quality.low,
        quality.high,
    ]
    assert "speed_up_over_pytorch-fixed" in tracked.metrics
    assert "energy_reduction_over_pytorch-fixed" in tracked.metrics
    assert tracked.notes["energy_per_request_joules"].startswith("J, smaller is better; measured, package")


def test_modelled_joules_have_names_of_their_own() -> None:
    """A chart of one name never has both; the note says what they are."""
    reading = {"grade": "modelled", "source": "cpu-time"}
    report = build_report(three_variants(reading=reading), CostFactors())
    for tracked in tracked_records(report):
        energy = {name for name in tracked.metrics if name.startswith("energy")}
        assert energy
        assert {name for name in energy if "_modelled" not in name} == set()
        assert "CPU time in other units" in tracked.notes["energy_per_request_modelled_joules"]

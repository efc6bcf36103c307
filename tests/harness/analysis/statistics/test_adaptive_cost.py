"""Costs of adaptive systems are in the record, the samples and the report, and are verified."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from worlds import Heard, World, boolq_folder

from harness.analysis.statistics.adaptive_cost import adaptive_cost_of, adaptive_costs
from harness.analysis.verification import verify_run
from harness.analysis.verification.reading import read_sealed
from harness.records.record import AdaptiveCost, Record
from harness.records.store import RunFolder, Store, read_samples
from harness.runs.execution.run import execute, start
from harness.runs.planning.options import RunOptions
from harness.systems.interface import Predictions
from harness.testing.clock import FakeClock
from harness.testing.system import FakeVariant
from harness.workload.data import Data, load_split
from harness.workload.tasks import get_task
from reports import render_records

DEPTHS = (2, 4, 6)


def measured(root: Path, **options: Any) -> tuple[dict[str, Record], RunFolder]:
    """Run a world in which one of two variants reports its number of layers; 90 rows of BoolQ."""
    clock = FakeClock(step_ns=10)
    world = World(root, FakeVariant("exits", clock, 300, wrong=9, depths=DEPTHS))
    boolq_folder(root, rows=90)
    run_options = RunOptions(
        **{"data": root / "data", "variants": ("onnx-int8", "exits"), "rounds": 4, **options}, task="boolq"
    )
    run = start(run_options, world.catalog, Store(world.store), world.cache, world.machine, Heard())
    return {record.cell.variant: record for record in execute(run)}, run.folder


@pytest.mark.parametrize("boundary", ["encoded", "text"])
@pytest.mark.parametrize("scenario", ["single-stream", "offline"])
def test_costs_reach_the_record_and_the_samples(boundary: str, scenario: str, tmp_path: Path) -> None:
    """Row i has i + 12 words in all: 90 rows end in turn after 2, 4 and 6 layers, 30 each."""
    records, folder = measured(tmp_path, boundary=boundary, scenarios=(scenario,))
    spent = records["exits"].spent
    assert set(spent) == {"layers"}
    assert spent["layers"].histogram == {"2": 30, "4": 30, "6": 30}
    assert spent["layers"].mean == 4.0
    assert records["onnx-int8"].spent == {}
    arrays = read_samples(folder.path, records["exits"])
    assert arrays["cost_layers"].dtype == np.float64
    # the number of words of row i is 12 + i, and that of layers follows from it
    expected = [DEPTHS[(12 + i) % 3] for i in arrays["timed_example"]]
    assert arrays["cost_layers"].tolist() == expected
    assert not [name for name in read_samples(folder.path, records["onnx-int8"]) if name.startswith("cost_")]


def test_quality_by_value_is_that_of_the_examples_answered_there(tmp_path: Path) -> None:
    """Weighted by their counts, the qualities of all values make the quality of the timed answers."""
    records, _ = measured(tmp_path)
    record = records["exits"]
    assert record.quality is not None
    spent = record.spent["layers"]
    whole = sum(spent.quality[value] * count for value, count in spent.histogram.items()) / 90
    assert whole == pytest.approx(record.quality.metrics["accuracy"].value)
    assert len(set(spent.quality.values())) > 1


def test_the_report_has_a_line_for_each_adaptive_variant(tmp_path: Path) -> None:
    """Shares, mean, and the quality at each value."""
    records, _ = measured(tmp_path)
    shown = " ".join(render_records(list(records.values()), "markdown").split())
    assert "exits 2: 33 %, 4: 33 %, 6: 33 %; mean 4; accuracy " in shown
    assert shown.count("layers spent") == 1


def test_of_amounts_the_report_shows_the_mean(tmp_path: Path) -> None:
    """Tokens and operations differ from request to request: a share of each value would fill the page."""
    records, _ = measured(tmp_path)
    few = AdaptiveCost(mean=61.25, histogram={"60": 45, "62.5": 45})
    changed = {"spent": {"tokens": few, "operations": AdaptiveCost(mean=6.54e7)}}
    shown = " ".join(render_records([records["exits"].model_copy(update=changed)], "markdown").split())
    assert "exits mean 61.2" in shown
    assert "exits mean 65,400,000" in shown
    assert "62.5: 50 %" not in shown


def test_costs_are_verified(tmp_path: Path) -> None:
    """Costs that were tampered with, in the record or in the samples, are found by the figures."""
    records, folder = measured(tmp_path)
    split = load_split(get_task("boolq"), Data("local", tmp_path / "data"), "val")
    sealed, _ = read_sealed(folder)
    assert not [check.wrong for check in verify_run(folder.name, sealed, lambda _: split) if check.wrong]
    place = next(at for at, one in enumerate(sealed) if one.record.spent)
    one, spent = sealed[place], records["exits"].spent["layers"]
    for changed in (
        {"mean": 3.0},
        {"histogram": {"2": 31, "4": 29, "6": 30}},
        {"quality": {**spent.quality, "2": 0.1}},
    ):
        changes = {"spent": {"layers": spent.model_copy(update=changed)}}
        sealed[place] = replace(one, record=one.record.model_copy(update=changes))
        cost = [check.name for check in verify_run(folder.name, sealed, lambda _: split) if check.wrong]
        assert set(cost) & {"quality", "data"}


def test_a_cost_counts_only_where_every_call_gives_a_number_for_each_request() -> None:
    """A call without costs, a missing or an invalid value: the cost is left out rather than wrong."""
    logits, offsets = np.zeros((2, 2), np.float32), np.array([0, 1, 2])

    def call(*layers: float) -> Predictions:
        return Predictions(logits, offsets, costs={"layers": np.array(layers)})

    assert adaptive_costs([call(1, 2), call(3, 4)], 4) == {"layers": [1, 2, 3, 4]}
    # a window of two passes: the first counts
    assert adaptive_costs([call(1, 2), call(1, 2)], 2) == {"layers": [1, 2]}
    assert adaptive_costs([call(1, 2), Predictions(logits, offsets)], 4) == {}
    assert adaptive_costs([call(1, 2), call(3)], 4) == {}
    assert adaptive_costs([call(1, float("nan"))], 2) == {}
    assert adaptive_costs([], 0) == {}


def test_many_different_values_are_not_counted_one_by_one() -> None:
    """Tokens, for instance, have a mean alone."""
    cost = adaptive_cost_of(get_task("boolq"), [], {at: float(at) for at in range(25)}, None)
    assert (cost.mean, cost.histogram, cost.quality) == (12.0, {}, {})

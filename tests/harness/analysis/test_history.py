import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from records import a_host, a_record

from harness.analysis.history import LEAST_POINTS, build_history, change_points
from harness.common.errors import UsageError
from harness.records.record import ModelFacts, Record, Revision
from harness.studies.traces import Trace, load_all

TRACES = [
    trace
    for trace in load_all(Path(__file__).parents[3] / "results" / "traces")
    if trace.is_null_test and len(trace.wall_ns) >= 60
]
"""Null tests on machines that others disturbed, or may have: the same thing twice, side by side."""


def speed_ups(trace: Trace, step: float = 0.0, block: int = 4) -> tuple[list[float], int]:
    """Return the ratios of the two halves of a null test, a run being a few rounds, and where the step is."""
    times = np.array(trace.wall_ns, dtype=np.float64) / np.array(trace.requests)
    ratios = (times[:, 0] / times[:, 1]).tolist()
    runs = [float(np.median(ratios[at : at + block])) for at in range(0, len(ratios) - block + 1, block)]
    planted = len(runs) * 3 // 5
    return [*runs[:planted], *((1 + step) * value for value in runs[planted:])], planted


def test_a_speed_up_that_does_not_change_has_no_change_point_on_real_noise() -> None:
    """At most one null test in 24 shows a change that is not there."""
    assert len(TRACES) >= 50
    alarms = [trace.run for trace in TRACES if change_points(speed_ups(trace)[0], 0.05)]
    assert len(alarms) <= len(TRACES) // 24


@pytest.mark.parametrize(("step", "least"), [(0.2, 0.6), (0.5, 0.85)])
def test_a_step_planted_in_real_noise_is_found_where_it_is(step: float, least: float) -> None:
    """In this share of series, two runs off at most, though runs of one thing differ by 7 %."""
    series = [speed_ups(trace, step) for trace in TRACES]
    near = [any(abs(point - at) <= 2 for point in change_points(values, 0.05)) for values, at in series]
    assert sum(near) >= least * len(TRACES)


def test_a_drift_too_slow_for_any_two_runs_is_a_change() -> None:
    """Half a percent a run, 12 % in all: a comparison with the previous run never detects it."""
    assert change_points([100 * 1.005**at * (1 + 0.002 * (-1) ** at) for at in range(24)], 0.05)


def test_one_bad_run_is_no_change() -> None:
    """A run at twice the time, followed by the old level."""
    values = [100.0, 101.0, 99.0, 100.5, 200.0, 99.5, 100.0, 101.0, 100.0, 99.0]
    assert change_points(values, 0.05) == []


def test_levels_within_the_tolerance_are_not_reported() -> None:
    """1 % is real in a series without noise, and below the tolerance; 10 % is not."""
    assert change_points([100.0] * 5 + [101.0] * 5, 0.05) == []
    assert change_points([100.0] * 5 + [110.0] * 5, 0.05) == [5]


def test_two_changes_are_two() -> None:
    """Up and half way back."""
    values = [100.0, 101.0, 99.0] * 3 + [130.0, 131.0, 129.0] * 3 + [115.0, 116.0, 114.0] * 3
    assert change_points(values, 0.05) == [9, 18]


def test_a_short_series_has_no_change_points() -> None:
    """A change needs three runs on each side."""
    assert change_points([1.0, 1.0, 9.0, 9.0, 9.0], 0.05) == []
    assert LEAST_POINTS == 6


@pytest.mark.parametrize("values", [[1.0, float("nan")], [1.0, float("inf")], [1.0, 0.0], [1.0, -1.0]])
def test_values_without_a_logarithm_are_refused(values: list[float]) -> None:
    """NaN, infinity, zero and negative values."""
    with pytest.raises(ValueError, match="finite"):
        change_points(values, 0.05)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(1e-3, 1e12), max_size=30))
def test_change_points_are_indexes_in_order_each_level_long_enough(values: list[float]) -> None:
    """For any series."""
    series = change_points(values, 0.05)
    edges = [0, *series, len(values)]
    assert not series or all(later - earlier >= 3 for earlier, later in pairwise(edges))


def a_run(day: int, wall_ms: float, commit: str, **changes: Any) -> Record:
    return a_record(
        "onnx-int8",
        (wall_ms,) * 7,
        run=f"r{day:02}",
        created=f"2026-01-{day:02}T00:00:00+00:00",
        revision=Revision(commit=commit, dirty=False),
        **changes,
    )


def slowed(**changes: Any) -> list[Record]:
    """Return 10 runs at 5 ms a request, 20 % slower from day 6 on, when numpy moved too."""
    fast = [a_run(day, 500.0 + day % 2, f"c{day}") for day in range(1, 6)]
    software = {"python": "3.11.7", "numpy": "3.0"}
    return [
        *fast,
        *(a_run(day, 600.0 + day % 2, f"c{day}", software=software, **changes) for day in range(6, 11)),
    ]


def test_a_change_has_the_commits_around_it_and_other_differences() -> None:
    """500 ms become 600: 1/1.2 - 1 = -16.7 % of throughput, worse, between c5 and c6."""
    records = slowed()
    random.Random(1).shuffle(records)
    (series,) = build_history(records, "throughput")
    (shift,) = series.shifts
    assert [point.revision for point in series.points] == [f"c{day}" for day in range(1, 11)]
    assert (shift.at, shift.worse, shift.commits) == (5, True, "c5..c6")
    assert shift.change == pytest.approx(-16.7, abs=0.2)
    assert shift.moved == ("numpy: none, then 3.0",)


def test_less_time_is_better_and_a_new_model_is_named() -> None:
    """Less latency is better."""
    model = ModelFacts(name="other", tier="local", fingerprint="e" * 64, trained=True)
    records = [
        record.model_copy(update={"model": model}) if record.run > "r05" else record for record in slowed()
    ]
    (series,) = build_history(records, "latency_p50")
    assert series.shifts[0].worse
    assert any(value.startswith("model: ") for value in series.shifts[0].moved)


def test_each_machine_and_each_data_has_a_history_of_its_own() -> None:
    """Runs of two machines are never joined to one line."""
    other = a_host().model_copy(update={"fingerprint": "9" * 64})
    series = build_history([*slowed(), *slowed(host=other)], "throughput")
    assert [len(value.points) for value in series] == [5, 15]
    assert series[0].why_none == "5 of the 6 runs that a change point needs"
    assert series[1].why_none == ""


def test_the_sides_of_a_gate_count_once() -> None:
    """Base is an older commit measured again, out of its time."""
    sides = [a_record(f"onnx-int8@{side}", (500.0,) * 7) for side in ("base", "head", "base-again")]
    (series,) = build_history(sides, "throughput")
    assert len(series.points) == 1
    assert series.why_none == "1 of the 6 runs that a change point needs"


def test_modelled_joules_have_no_history() -> None:
    """They are CPU time in other units, which has one."""
    assert build_history([a_record(reading={"grade": "modelled"})], "energy") == []
    assert len(build_history([a_record()], "energy")) == 1


def test_an_old_record_without_a_revision_is_named_by_its_run() -> None:
    """The range of commits is then one of runs."""
    records = [record.model_copy(update={"revision": None}) for record in slowed()]
    assert build_history(records, "throughput")[0].shifts[0].commits == "r05..r06"


def test_a_speed_up_is_over_the_reference_of_the_same_run() -> None:
    """A day on which everything is twice as slow does not change it: 5 ms over 1 ms is 5 on both."""
    times = {"pytorch-fixed": 500.0, "onnx-int8": 100.0}
    days = [
        a_record(name, (wall_ms * (1 + day % 2),) * 7, run=f"r{day}", created=f"2026-01-0{day}")
        for day in range(1, 9)
        for name, wall_ms in times.items()
    ]
    (series,) = build_history(days, "speedup")
    assert (series.key.cell.variant, series.key.over) == ("onnx-int8", "pytorch-fixed")
    assert [point.value for point in series.points] == pytest.approx([5.0] * 8)
    assert series.shifts == ()


def test_an_unknown_quantity_has_no_history() -> None:
    """The error suggests the nearest name."""
    with pytest.raises(UsageError, match="Did you mean speedup"):
        build_history([], "spedup")

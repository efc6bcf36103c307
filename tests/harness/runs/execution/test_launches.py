from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from worlds import Heard, World, boolq_folder

from harness.analysis.statistics.ratios import Ratio, speedup
from harness.common.errors import UsageError
from harness.records.cell import Cell, group_cells
from harness.records.journal_entries import RoundEntry, VisitEntry
from harness.records.plan import PROFILES
from harness.records.record import Record
from harness.records.store import Store
from harness.runs.execution.run import Run, execute, resume, start
from harness.runs.execution.stopping_rule import StoppingRule, why_stop, widest_half_width
from harness.runs.planning.options import RunOptions
from harness.studies.traces import trace_of
from harness.testing.world import altered

PAIR = ("pytorch-fixed", "onnx-int8")


def started(world: World, **options: Any) -> Run:
    wanted = RunOptions("boolq", data=boolq_folder(world.root), **{"rounds": 4, "variants": PAIR, **options})
    return start(wanted, world.catalog, Store(world.store), world.cache, world.machine, Heard())


def measured(world: World, **options: Any) -> dict[str, Record]:
    return {record.cell.variant: record for record in execute(started(world, **options))}


class Stubborn(Heard):
    """Interrupts the run at the beginning of a round."""

    def __init__(self, at: str) -> None:
        super().__init__()
        self.at = at

    def detail(self, text: str) -> None:
        if text.startswith(self.at):
            raise KeyboardInterrupt


def counting(world: World) -> list[int]:
    """Count the workers that are launched to measure."""
    launched: list[int] = []
    launch = world.machine.launch
    world.machine = altered(
        world.machine,
        launch=lambda *words: launched.append(1) or launch(*words),  # type: ignore[func-returns-value]
    )
    return launched


def test_a_full_measurement_is_ten_rounds_in_each_of_three_launches() -> None:
    """As docs/explanation/method.md says."""
    full = PROFILES["full"]
    assert (full.rounds, full.launches, full.all_rounds) == (10, 3, 30)
    assert [PROFILES[name].launches for name in ("quick", "default")] == [1, 1]


def test_workers_are_started_anew_for_each_launch(tmp_path: Path) -> None:
    """Twelve rounds in three launches, numbered through; slices and order go on where they were."""
    world = World(tmp_path)
    run = started(world, launches=3)
    launched = counting(world)
    records = execute(replace(run, machine=world.machine))
    assert len(launched) == 6  # two variants, three times
    for record in records:
        assert [turn.index for turn in record.rounds] == list(range(12))
        assert [turn.launch for turn in record.rounds] == [0] * 4 + [1] * 4 + [2] * 4
        assert [turn.slice for turn in record.rounds] == [0, 1, 2] * 4
        assert (record.launches, record.rounds_planned, record.status) == (3, 12, "complete")
    assert len({turn.position for turn in records[0].rounds}) == 2
    found = speedup(records[1], records[0])
    assert isinstance(found, Ratio)
    assert found.method.endswith("t interval over rounds and launches")


@pytest.mark.parametrize(
    ("at", "launches"), [("round 7", [0, 0, 0, 0, 1, 1, 2, 2]), ("round 5", [0, 0, 0, 0, 1, 1, 1, 1])]
)
def test_an_interrupted_launch_goes_on_as_one_of_its_own(
    tmp_path: Path, at: str, launches: list[int]
) -> None:
    """What is missing is known by the numbers of the rounds; processes of the second try are others."""
    world = World(tmp_path)
    run = started(world, launches=2)
    with pytest.raises(KeyboardInterrupt):
        execute(replace(run, narrator=Stubborn(at)))
    again = execute(resume(run.folder, world.cache, world.machine, Heard()))
    for record in again:
        assert [turn.index for turn in record.rounds] == list(range(8))
        assert [turn.launch for turn in record.rounds] == launches
        assert record.status == "complete"


def turns(own: list[int], other: list[int], elapsed_ns: int = 0) -> list[RoundEntry]:
    """Return rounds of two cells with these windows of one request each."""
    return [
        RoundEntry(
            group=CELLS[0].group,
            index=at,
            slice=0,
            launch=0,
            elapsed_ns=elapsed_ns,
            indexes=[0],
            visits={CELLS[0].id: visit(base), CELLS[1].id: visit(wall)},
        )
        for at, (wall, base) in enumerate(zip(own, other, strict=True))
    ]


def visit(wall_ns: int) -> VisitEntry:
    return VisitEntry(
        position=0,
        requests=1,
        sequences=1,
        tokens=1,
        wall_ns=wall_ns,
        cpu_ns=0,
        call_ns=[wall_ns],
        readings=[],
        answers=["true"],
    )


CELLS = [
    Cell("boolq", name, "cpu", "single-stream", threads=1, max_length=8, data="d", model="m") for name in PAIR
]


def test_the_widest_interval_decides_whether_rounds_are_added() -> None:
    """Equal rounds have no width; rounds of 50 to 200 % have much; two rounds have no interval."""
    assert widest_half_width(turns([10] * 7, [20] * 7), CELLS) == 0
    wide = turns([10] * 7, [10, 20, 5, 10, 20, 5, 10])
    assert (widest_half_width(wide, CELLS) or 0) > 0.3
    assert widest_half_width(wide[:2], CELLS) is None
    rule = StoppingRule(0.02, 10.0, 20)
    assert why_stop(rule, turns([10] * 7, [20] * 7), CELLS) == "precision"
    assert why_stop(rule, wide, CELLS) is None
    assert why_stop(rule, turns([10] * 4, [10, 20, 5, 10], elapsed_ns=2_500_000_000), CELLS) == "time budget"
    assert why_stop(rule, turns([10] * 20, [10, 20] * 10), CELLS) == "rounds"
    assert why_stop(rule, wide, CELLS[:1]) == "nothing to compare"


def test_steady_systems_need_no_more_rounds_than_the_profiles(tmp_path: Path) -> None:
    """The record says what was asked and what was reached."""
    record = measured(World(tmp_path), precision=0.5)["onnx-int8"]
    assert len(record.rounds) == record.rounds_planned == 4
    assert record.stop is not None
    assert (record.stop.asked, record.stop.reason) == (0.5, "precision")
    assert record.stop.half_width is not None
    assert record.stop.half_width < 0.5


def test_rounds_are_added_until_there_are_ten_times_as_many(tmp_path: Path) -> None:
    """Two slices differ in length, so half the ratios are one number and half another: 2 rounds become 22."""
    record = measured(World(tmp_path), precision=1e-6, rounds=2)["onnx-int8"]
    assert [turn.index for turn in record.rounds] == list(range(len(record.rounds)))
    assert {turn.launch for turn in record.rounds} == {0}
    assert record.stop is not None
    assert (record.stop.reason, record.rounds_planned, record.status) == ("rounds", 22, "complete")


def test_the_time_budget_ends_what_precision_asks_for(tmp_path: Path) -> None:
    """The profile's rounds are always measured: a budget of a nanosecond adds none."""
    record = measured(World(tmp_path), precision=1e-6, time_budget_s=1e-9)["onnx-int8"]
    assert len(record.rounds) == 4
    assert record.stop is not None
    assert record.stop.reason == "time budget"


def test_several_launches_are_followed_by_whole_ones(tmp_path: Path) -> None:
    """Rounds within a launch would not narrow an interval over launches."""
    record = measured(World(tmp_path), precision=1e-6, rounds=2, launches=3)["onnx-int8"]
    assert len(record.rounds) == 60
    assert record.launches == 30


def test_a_resumed_run_goes_on_adding_rounds(tmp_path: Path) -> None:
    """Interrupted in the third added step: what was added is kept, and the end is the same."""
    world = World(tmp_path)
    run = started(world, precision=1e-6)
    with pytest.raises(KeyboardInterrupt):
        execute(replace(run, narrator=Stubborn("round 14")))
    again = execute(resume(run.folder, world.cache, world.machine, Heard()))
    for record in again:
        assert [turn.index for turn in record.rounds] == list(range(record.rounds_planned))
        assert record.stop is not None


def test_a_null_test_measures_one_variant_twice(tmp_path: Path) -> None:
    """Two cells of one group, each with a worker of its own; both in one trace."""
    world = World(tmp_path)
    run = started(world, variants=None, null_test="onnx-int8", condition="a fake clock")
    launched = counting(world)
    first, second = execute(replace(run, machine=world.machine))
    assert len(launched) == 2
    assert (first.cell.twin, second.cell.twin) == (0, 1)
    assert first.cell.group == second.cell.group
    assert first.cell.id != second.cell.id
    trace = trace_of([first, second])
    assert (trace.condition, trace.variant, len(trace.wall_ns)) == ("a fake clock", "onnx-int8", 4)


def test_a_null_test_may_have_more_copies(tmp_path: Path) -> None:
    """All in one group, so that they share their reference."""
    world = World(tmp_path)
    records = execute(started(world, variants=None, null_test="onnx-int8", null_copies=4))
    assert [record.cell.twin for record in records] == [0, 1, 2, 3]
    assert trace_of(records).cells == 4


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"null_test": "onnx-int8"}, "one variant against itself"),
        ({"null_test": "onnx-int9", "variants": None}, "Did you mean onnx-int8"),
        ({"null_copies": 3}, "--null-copies is of a null test"),
        ({"null_test": "onnx-int8", "variants": None, "null_copies": 1}, "must be 2 or more, got 1"),
        ({"time_budget_s": 10.0}, "--precision is missing"),
        ({"launches": 0}, "--launches 0 is out of range"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, options: dict[str, Any], words: str) -> None:
    """Before anything is measured."""
    with pytest.raises(UsageError, match=words):
        started(World(tmp_path), **options)


def test_twins_are_one_group() -> None:
    """They are compared with each other, so they share all but the number."""
    twins = [replace(CELLS[0], twin=at) for at in (0, 1)]
    assert len(group_cells(twins)) == 1

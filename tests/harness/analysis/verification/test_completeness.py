"""Checks of a whole run: turns that the seed gives, slices and launches in turn, and what records share."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from records import a_reading, a_record

from harness.analysis.verification.base import SealedRecord, VerificationCheck
from harness.analysis.verification.completeness import check_whole
from harness.records.cell import round_order
from harness.records.record import IdleEnergy, Record, Round

VARIANTS = ("c", "a", "b")
"""In the order of the command, which is not that of the files."""


def a_run(
    rounds: int = 6, slices: int = 3, launches: int = 2, failed_after: int | None = None
) -> list[Record]:
    """Return three cells of one group; `failed_after` is the round in which the second one failed."""
    turns: dict[str, list[dict[str, int]]] = {variant: [] for variant in VARIANTS}
    per_launch = rounds // launches
    for index in range(rounds):
        alive = [name for name in VARIANTS if failed_after is None or name != "a" or index <= failed_after]
        for position, name in enumerate(round_order(alive, index, 0)):
            label = {
                "index": index,
                "slice": index % slices,
                "launch": index // per_launch,
                "position": position,
            }
            turns[name].append(label)
    if failed_after is not None:
        turns["a"].pop()  # it had a turn in this round, and no visit came of it
    return [cell(name, turns[name], rounds) for name in sorted(VARIANTS)]


def cell(name: str, turns: Sequence[dict[str, int]], planned: int) -> Record:
    """Return the record of a cell that had these turns."""
    complete = len(turns) == planned
    record = a_record(
        name,
        [500.0] * len(turns),
        status="complete" if complete else "partial",
        cell={"id": name, "group": "g"},
    )
    windows = [replace(item, **turn) for item, turn in zip(record.rounds, turns, strict=True)]
    return record.model_copy(update={"rounds": tuple(windows), "rounds_planned": planned})


def changed(
    records: Sequence[Record], number: int, change: Callable[[Round], dict[str, Any]]
) -> list[Record]:
    """Return the records with the rounds of one of them changed."""
    record = records[number]
    windows = tuple(replace(item, **change(item)) for item in record.rounds)
    return [*records[:number], record.model_copy(update={"rounds": windows}), *records[number + 1 :]]


def check(records: Sequence[Record]) -> VerificationCheck:
    """Return the check of the run."""
    result = VerificationCheck("run", "")
    check_whole(result, [SealedRecord(f"{item.cell.id}.json", {}, item, None) for item in records])
    return result


@pytest.mark.parametrize("failed_after", [None, 0, 3])
def test_a_run_in_the_order_of_its_seed_agrees(failed_after: int | None) -> None:
    """Also where a cell failed in its first visit, or later."""
    result = check(a_run(failed_after=failed_after))
    assert result.wrong == []
    assert bool(result.unchecked) == (failed_after is not None)


def test_turns_of_another_round_are_not_those_of_the_seed() -> None:
    """All cells have the turns of each other's round, so that every round has every turn."""
    run = a_run()
    swapped = {1: 2, 2: 1}
    turns = {
        (record.cell.id, item.index): record.rounds[swapped.get(item.index, item.index)].position
        for record in run
        for item in record.rounds
    }
    assert turns != {(record.cell.id, item.index): item.position for record in run for item in record.rounds}
    for number, record in enumerate(run):
        run = changed(run, number, lambda item, name=record.cell.id: {"position": turns[name, item.index]})
    assert any("not those of the seed" in line for line in check(run).wrong)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda item: {"slice": 2 - item.slice}, "the slices were not answered in turn"),
        (lambda item: {"launch": 1 - item.launch}, "the rounds of a launch do not follow one another"),
        (lambda item: {"launch": int(item.index > 1)}, "each has 3 rounds"),
    ],
    ids=["slices", "launches", "edge of a launch"],
)
def test_slices_and_launches_follow_one_another(
    change: Callable[[Round], dict[str, Any]], problem: str
) -> None:
    """Also where all cells have the same wrong labels."""
    run = a_run()
    for number in range(3):
        run = changed(run, number, change)
    options = {"rounds": 3, "launches": 2}
    run = [record.model_copy(update={"configuration": options}) for record in run]
    assert any(problem in line for line in check(run).wrong)


def test_complete_cells_went_through_all_rounds() -> None:
    """One of them without its first round, and with as many planned as it has."""
    run = a_run()
    short = run[0].model_copy(update={"rounds": run[0].rounds[1:], "rounds_planned": 5})
    assert any("rounds_planned" in line for line in check([run[1], short, run[2]]).wrong)
    assert any("rounds: the record has [1, 2," in line for line in check([run[1], short, run[2]]).wrong)


def test_idle_energy_is_read_once_for_all_cells() -> None:
    """Another value in one of them is found."""
    idle = [IdleEnergy(before=(a_reading(microjoules),)) for microjoules in (5, 5, 6)]
    run = [record.model_copy(update={"idle": own}) for record, own in zip(a_run(), idle, strict=True)]
    assert any("idle.before" in line for line in check(run).wrong)
    assert check([record.model_copy(update={"idle": idle[0]}) for record in run]).wrong == []

"""Checks of a whole run: what its records share, and the rounds that the cells of a group went through.

seed, number of the round --round_order--> the cells' turns        compared with `position` of each cell
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.analysis.verification.base import SealedRecord, VerificationCheck
from harness.records.cell import round_order
from harness.records.side import SIDE_MARK

if TYPE_CHECKING:
    from harness.records.record import Record, Round

SHARED = (
    *("run", "created", "profile", "seed", "data", "model", "host", "software", "energy", "configuration"),
    "revision",
)
"""Fields that all records of a run share; conditions may differ if a run was killed while sealing."""

OF_A_SIDE = ("model", "software", "configuration", "revision")
"""Fields in which the sides of a gate may differ, because they are what the gate compares."""

OF_A_DEVICE = ("energy", "configuration")
"""Fields of one device in a run on several devices: its meter, and its variants."""


def _shared(record: "Record") -> list[str]:
    return [name for name in SHARED if not (SIDE_MARK in record.cell.variant and name in OF_A_SIDE)]


def check_whole(check: VerificationCheck, sealed: Sequence[SealedRecord]) -> None:
    """Check that shared fields are equal, and that the cells of a group went through the same rounds."""
    if not sealed:
        return
    first = sealed[0].record
    by_device = {item.record.cell.device: item.record for item in reversed(sealed)}
    for item in sealed[1:]:
        of_device = by_device[item.record.cell.device]
        for name in _shared(item.record):
            reference = of_device if name in OF_A_DEVICE else first
            same = getattr(item.record, name) == getattr(reference, name)
            check.holds(item.name, f"{name}: it differs from that of the run's other records", so=same)
        if item.record.placement and of_device.placement:
            same = item.record.placement.cpus == of_device.placement.cpus
            check.holds(
                item.name, "placement.cpus: they differ from those of the run's other records", so=same
            )
    groups: dict[str, list[Record]] = defaultdict(list)
    for item in sealed:
        groups[item.record.cell.group].append(item.record)
    for group, records in groups.items():
        _check_group(check, group, records)
        _check_labels(check, group, records)
        _check_order(check, group, records)
        _check_idle(check, group, records)


def _check_group(check: VerificationCheck, group: str, records: Sequence["Record"]) -> None:
    """Check that in every round each cell had its own turn, and all answered the same requests."""
    complete = [record for record in records if record.status == "complete"]
    for record in complete:
        indexes = [item.index for item in record.rounds]
        check.same(record.cell.id, "rounds", indexes, list(range(record.rounds_planned)))
        check.same(record.cell.id, "rounds_planned", record.rounds_planned, complete[0].rounds_planned)
    for index, visits in _rounds(records).items():
        where = f"{group}, round {index}"
        positions = [item.position for item in visits.values()]
        distinct = len(set(positions)) == len(positions) and all(0 <= at < len(records) for at in positions)
        check.holds(where, f"position: the turns were {sorted(positions)}", so=distinct)
        alike = len({(item.slice, item.launch) for item in visits.values()}) == 1
        check.holds(where, "slice or launch: it differs between the cells", so=alike)


def _rounds(records: Sequence["Record"]) -> "dict[int, dict[str, Round]]":
    """Return the rounds of a group by index, each by cell."""
    visits: dict[int, dict[str, Round]] = defaultdict(dict)
    for record in records:
        for item in record.rounds:
            visits[item.index][record.cell.id] = item
    return dict(sorted(visits.items()))


def _check_labels(check: VerificationCheck, group: str, records: Sequence["Record"]) -> None:
    """Check that slices follow one another in turn, and launches too."""
    rounds = [next(iter(visits.values())) for visits in _rounds(records).values()]
    if not rounds or rounds[0].index != 0:
        return
    slices, launches = 1 + max(item.slice for item in rounds), [item.launch for item in rounds]
    in_turn = [item.index % slices for item in rounds] == [item.slice for item in rounds]
    check.holds(group, "slice: the slices were not answered in turn", so=in_turn)
    check.holds(
        group, "launch: the rounds of a launch do not follow one another", so=launches == sorted(launches)
    )
    options = records[0].configuration
    per_launch, planned_launches = options.get("rounds"), options.get("launches") or 1
    planned = all(record.status == "complete" and record.stop is None for record in records)
    if (
        planned and isinstance(per_launch, int) and len(set(launches)) == planned_launches
    ):  # a resumed run has more
        expected = [min(item.index // per_launch, planned_launches - 1) for item in rounds]
        check.holds(group, f"launch: each has {per_launch} rounds", so=launches == expected)


def _check_order(check: VerificationCheck, group: str, records: Sequence["Record"]) -> None:
    """Compare the turns of all rounds in which no cell is missing with those that the seed gives.

    The order that the seed shuffles follows from the first of these rounds; it must give all others.
    """
    cells = [record.cell.id for record in records if record.rounds]
    complete = {index: visits for index, visits in _rounds(records).items() if len(visits) == len(cells)}
    if len(cells) < len(records):
        complete.pop(0, None)  # a cell that failed in its first visit had a turn
    numbers, seed = [str(number) for number in range(len(cells))], records[0].seed
    shuffled: list[str] = []
    for index, visits in complete.items():
        turns = sorted(visits, key=lambda cell: visits[cell].position)
        order = [int(number) for number in round_order(numbers, index, seed)]
        shuffled = shuffled or [cell for _, cell in sorted(zip(order, turns, strict=True))]
        expected = [shuffled[number] for number in order]
        problem = "position: the turns are not those of the seed"
        check.holds(f"{group}, round {index}", problem, so=turns == expected)
    if len(complete) < len(_rounds(records)):
        check.skip("a cell failed: the turns of the rounds without it are on trust")


def _check_idle(check: VerificationCheck, group: str, records: Sequence["Record"]) -> None:
    """Check that all cells have the same idle energy: it is read once for all cells that have not failed."""
    records = [record for record in records if record.status == "complete"]
    for when in ("before", "after"):
        readings = {
            getattr(record.idle, when) for record in records if record.idle and getattr(record.idle, when)
        }
        check.holds(group, f"idle.{when}: it differs between the cells", so=len(readings) <= 1)

"""Checks of a whole run: fields that its records share, and rounds that the cells of a group share."""

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.analysis.verification.base import SealedRecord, VerificationCheck
from harness.records.side import SIDE_MARK

if TYPE_CHECKING:
    from harness.records.record import Record

SHARED = ("run", "created", "profile", "seed", "data", "model", "host", "software", "energy", "configuration")
"""Fields that all records of a run share; conditions may differ if a run was killed while sealing."""

OF_A_SIDE = ("model", "software", "configuration")
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
        for name in _shared(item.record):
            reference = by_device[item.record.cell.device] if name in OF_A_DEVICE else first
            same = getattr(item.record, name) == getattr(reference, name)
            check.holds(item.name, f"{name}: it differs from that of the run's other records", so=same)
    groups: dict[str, list[Record]] = defaultdict(list)
    for item in sealed:
        groups[item.record.cell.group].append(item.record)
    for group, records in groups.items():
        _check_group(check, group, records)


def _check_group(check: VerificationCheck, group: str, records: Sequence["Record"]) -> None:
    """Check that in every round each cell had its own turn, and all answered the same requests."""
    visits: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
    for record in records:
        for item in record.rounds:
            visits[item.index].append((item.position, item.slice, item.launch))
    for index, of_round in visits.items():
        where = f"{group}, round {index}"
        positions = [position for position, _, _ in of_round]
        distinct = len(set(positions)) == len(positions) and all(0 <= at < len(records) for at in positions)
        check.holds(where, f"position: the turns were {sorted(positions)}", so=distinct)
        alike = len({(part, launch) for _, part, launch in of_round}) == 1
        check.holds(where, "slice or launch: it differs between the cells", so=alike)

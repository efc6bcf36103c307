"""What the records of one run share, and how those of one group fit together."""

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.analysis.verification.base import SealedRecord, VerificationCheck
from harness.records.side import SIDE_MARK

if TYPE_CHECKING:
    from harness.records.record import Record

SHARED = ("run", "created", "profile", "seed", "data", "model", "host", "software", "energy", "configuration")
"""What all records of a run say alike; conditions may differ where a run was killed while it sealed them."""


OF_A_SIDE = ("model", "software", "configuration")
"""What the sides of a gate may differ in: that is what they are compared for."""


OF_A_DEVICE = ("energy", "configuration")
"""What is one device's own in a run of several: its meter, and its variants."""


def _shared(record: "Record") -> list[str]:
    return [name for name in SHARED if not (SIDE_MARK in record.cell.variant and name in OF_A_SIDE)]


def check_whole(check: VerificationCheck, sealed: Sequence[SealedRecord]) -> None:
    """Hold that what is shared is the same, and that the cells of a group went through the same rounds."""
    if not sealed:
        return
    first = sealed[0].record
    by_device = {one.record.cell.device: one.record for one in reversed(sealed)}
    for one in sealed[1:]:
        for name in _shared(one.record):
            like = by_device[one.record.cell.device] if name in OF_A_DEVICE else first
            same = getattr(one.record, name) == getattr(like, name)
            check.holds(one.name, f"{name}: it is not that of the run's other records", so=same)
    groups: dict[str, list[Record]] = defaultdict(list)
    for one in sealed:
        groups[one.record.cell.group].append(one.record)
    for group, records in groups.items():
        _check_group(check, group, records)


def _check_group(check: VerificationCheck, group: str, records: Sequence["Record"]) -> None:
    """Hold that in every round the cells had turns of their own and asked the same requests."""
    turns: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
    for record in records:
        for item in record.rounds:
            turns[item.index].append((item.position, item.slice, item.launch))
    for index, seen in turns.items():
        where = f"{group}, round {index}"
        positions = [position for position, _, _ in seen]
        alone = len(set(positions)) == len(positions) and all(0 <= at < len(records) for at in positions)
        check.holds(where, f"position: the turns were {sorted(positions)}", so=alone)
        alike = len({(part, launch) for _, part, launch in seen}) == 1
        check.holds(where, "slice or launch: not the same for all cells", so=alike)

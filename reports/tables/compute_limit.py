"""The column `of the int8 limit`: the share of the cores' arithmetic peak that a system reached."""

from collections.abc import Iterable, Sequence

from harness.analysis.compute_limit import LIMITING, compute_limit_of, share_of_limit
from harness.records.estimate import Estimate, Unavailable
from harness.records.record import Record
from reports.layout.cell_factory import absent_cell, share_cell, share_column
from reports.layout.number_format import fixed
from reports.layout.table_model import Column, ColumnMaker, Notes, TableCell
from reports.values.figures import Figures, failure_of
from reports.values.ladder_model import RungFigures

HEADING = "of the int8 limit"


def is_measured(group: Iterable[Figures]) -> bool:
    """Return whether any of these records holds the limit."""
    return any(figures.record.limit is not None for figures in group)


def limit_column() -> ColumnMaker[Figures]:
    """Return the column for a table of records."""
    return share_column(HEADING, lambda figures: _share(figures.record))


def rungs_limit_column(group: Sequence[Figures]) -> list[ColumnMaker[RungFigures]]:
    """Return the column for a ladder's table of one scenario; none where the limit was not measured."""
    if not is_measured(group):
        return []
    records = {figures.record.cell.variant: figures.record for figures in group}

    def make_cell(rung: RungFigures, notes: Notes) -> TableCell:
        record = records.get(rung.definition.name)
        share = _share(record) if record else Unavailable("it was not measured")
        if isinstance(share, Estimate):
            return share_cell(share)
        return absent_cell(share, notes, failed=record is not None and record.status == "failed")

    return [(Column(HEADING, "right", "speed"), make_cell)]


def _share(record: Record) -> Estimate | Unavailable:
    return failure_of(record) or share_of_limit(record)


def limit_remark(group: Iterable[Figures]) -> list[str]:
    """Return the remark on the limit: threads, instruction, and the measured rate."""
    record = next((figures.record for figures in group if figures.record.limit is not None), None)
    if record is None or record.limit is None:
        return []
    peak = compute_limit_of(record)
    if not isinstance(peak, float):
        return [f"{HEADING}: {peak}."]
    count = record.limit.threads
    threads = "1 thread" if count == 1 else f"{count} threads"
    rate = f"{fixed(peak / 1e9, 1)} x 10^9 {LIMITING} operations a second"
    instruction = record.limit.peaks[LIMITING].instruction
    remark = (
        f"{HEADING}: operations of the encoder's matrix products, without padding, over the peak rate of "
        f"{threads} with operands in registers: {rate} ({instruction}), the higher of two measurements."
    )
    return [remark]

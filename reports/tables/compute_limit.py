"""The column `of the int8 limit`: which share of the cores' arithmetic a system reached, where measured."""

from collections.abc import Callable, Iterable, Sequence

from harness.analysis.compute_limit import LIMITING, compute_limit_of, share_of_limit
from harness.records.estimate import Estimate, Unavailable
from harness.records.record import Record
from reports.layout.cell_factory import absent_cell, share_cell
from reports.layout.number_format import fixed
from reports.layout.table_model import Column, Notes, TableCell
from reports.values.figures import Figures, failure_of
from reports.values.ladder_model import RungFigures

HEADING = "of the int8 limit"
_NOT_MEASURED = Unavailable("it was not measured")


def is_measured(items: Iterable[Figures]) -> bool:
    """Say whether any of these records holds the limit."""
    return any(item.record.limit is not None for item in items)


def limit_column() -> tuple[Column, Callable[[Figures, Notes], TableCell]]:
    """Return the column of a table of records."""

    def make(item: Figures, notes: Notes) -> TableCell:
        return share_of(item.record, notes)

    return Column(HEADING, "right", "speed"), make


def rungs_limit_column(
    items: Sequence[Figures],
) -> list[tuple[Column, Callable[[RungFigures, Notes], TableCell]]]:
    """Return the column of a ladder's table over the records of one scenario; none where nothing is known."""
    if not is_measured(items):
        return []
    records = {item.record.cell.variant: item.record for item in items}

    def make(rung: RungFigures, notes: Notes) -> TableCell:
        record = records.get(rung.words.name)
        return share_of(record, notes) if record else absent_cell(_NOT_MEASURED, notes)

    return [(Column(HEADING, "right", "speed"), make)]


def share_of(record: Record, notes: Notes) -> TableCell:
    """Show a record's share of the limit, or why there is none."""
    found = failure_of(record) or share_of_limit(record)
    if isinstance(found, Estimate):
        return share_cell(found)
    return absent_cell(found, notes, failed=record.status == "failed")


def limit_remark(items: Iterable[Figures]) -> list[str]:
    """Say what the limit is of: threads, instruction, and the rate that was measured."""
    record = next((item.record for item in items if item.record.limit is not None), None)
    if record is None or record.limit is None:
        return []
    peak = compute_limit_of(record)
    if not isinstance(peak, float):
        return [f"{HEADING}: {peak}."]
    count = record.limit.threads
    cores = "1 thread does" if count == 1 else f"{count} threads do"
    rate = f"{fixed(peak / 1e9, 1)} x 10^9 {LIMITING} operations a second"
    said = (
        f"{HEADING}: operations of the encoder's products, padding not among them, over what {cores} at most "
        f"from registers: {rate} ({record.limit.peaks[LIMITING].instruction}), the best of two."
    )
    return [said]

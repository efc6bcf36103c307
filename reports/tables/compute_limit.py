"""The columns of the compute limit: the share of it that a system reached, and the operations it skipped."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from harness.analysis.compute_limit import LIMITING, compute_limit_of, share_of_limit, skipped_share
from harness.records.estimate import Estimate, Unavailable
from harness.records.record import Record
from reports.layout.cell_factory import absent_cell, share_cell
from reports.layout.number_format import fixed, shown
from reports.layout.table_model import Column, ColumnMaker, Notes, TableCell
from reports.values.figures import Figures, failure_of
from reports.values.ladder_model import RungFigures

HEADING = "of the int8 limit"
SKIPPED = "operations skipped"
SKIPPED_REMARK = (
    f"{SKIPPED}: the part of these that a system does not compute, because no head reads it, requests leave "
    "early or tokens are dropped. The share of the limit counts it as done: all engines have equal work."
)

LEAST_DIGITS = 4
"""A part below a ten-thousandth is rounding."""

Row = TypeVar("Row")
Value = TypeVar("Value", Estimate, float)


def is_measured(group: Iterable[Figures]) -> bool:
    """Return whether any of these records holds the limit."""
    return any(figures.record.limit is not None for figures in group)


def limit_columns(group: Sequence[Figures]) -> list[ColumnMaker[Figures]]:
    """Return the columns for a table of records; none where the limit was not measured."""
    return _columns(group, lambda figures: figures.record)


def rungs_limit_columns(group: Sequence[Figures]) -> list[ColumnMaker[RungFigures]]:
    """Return the columns for a ladder's table of one scenario; none where the limit was not measured."""
    records = {figures.record.cell.variant: figures.record for figures in group}
    return _columns(group, lambda rung: records.get(rung.definition.name))


def _columns(group: Sequence[Figures], record_of: Callable[[Row], Record | None]) -> list[ColumnMaker[Row]]:
    if not is_measured(group):
        return []
    share = _column(HEADING, record_of, share_of_limit, share_cell)
    skipped = _column(SKIPPED, record_of, skipped_share, _percent_cell)
    return [share, skipped] if _any_skips(group) else [share]


def _column(
    heading: str,
    record_of: Callable[[Row], Record | None],
    compute: Callable[[Record], Value | Unavailable],
    show: Callable[[Value], TableCell],
) -> ColumnMaker[Row]:
    """Return a column of a figure of each row's record; a row without one was not measured."""

    def make_cell(row: Row, notes: Notes) -> TableCell:
        record = record_of(row)
        value = _figure(record, compute) if record else Unavailable("it was not measured")
        if isinstance(value, Unavailable):
            return absent_cell(value, notes, failed=record is not None and record.status == "failed")
        return show(value)

    return Column(heading, "right", "speed"), make_cell


def _figure(record: Record, compute: Callable[[Record], Value | Unavailable]) -> Value | Unavailable:
    return failure_of(record) or compute(record)


def _any_skips(group: Iterable[Figures]) -> bool:
    return any(_is_some(skipped_share(figures.record)) for figures in group)


def _is_some(share: float | Unavailable) -> bool:
    """Return whether a share is not zero, but for rounding."""
    return isinstance(share, float) and bool(round(share, LEAST_DIGITS))


def _percent_cell(share: float) -> TableCell:
    return TableCell(f"{shown(100 * share)} %" if _is_some(share) else "0 %", value=share)


def limit_remark(group: Sequence[Figures]) -> list[str]:
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
        f"{HEADING}: operations of the model's matrix products, without padding and the same for every "
        f"engine, over the peak rate of {threads} with operands in registers: {rate} ({instruction}), the "
        "higher of two measurements."
    )
    return [remark, SKIPPED_REMARK] if _any_skips(group) else [remark]

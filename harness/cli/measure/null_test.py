"""The result of `bench run --null-test`: a variant against itself, the verdict, and the saved trace."""

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from harness.analysis.statistics.ratios import Ratio
    from harness.records.record import Record


def keep_traces(records: "Sequence[Record]", folder: "Path") -> None:
    """Write the trace of every null test among the records, and report its verdict on stderr."""
    from harness.analysis.statistics.ratios import Ratio, judge, speedup
    from harness.studies.traces import save, trace_of

    for first, second in _pairs(records):
        if not first.rounds or not second.rounds:
            continue
        path = save(trace_of(first, second), folder)
        ratio = speedup(second, first)
        if isinstance(ratio, Ratio):
            interval = f"{ratio.value:.3f}x [{ratio.low:.3f}, {ratio.high:.3f}]"
            verdict = f"{first.cell.variant} against itself: {interval}, {judge(ratio).verdict}"
            typer.echo(f"bench: {verdict}, over {ratio.count} rounds{_typical_request(ratio)}", err=True)
        typer.echo(f"bench: the trace is in {path}", err=True)


def _typical_request(ratio: "Ratio") -> str:
    """Return the ratio that the verdict is about, where that is not the ratio of totals."""
    if ratio.typical is None:
        return ""
    value, low, high = ratio.typical
    return f"; the typical request {value:.3f}x [{low:.3f}, {high:.3f}]"


def _pairs(records: "Sequence[Record]") -> "list[tuple[Record, Record]]":
    tested = [record for record in records if record.configuration.get("null_test")]
    firsts = {(record.run, record.cell.group): record for record in tested if not record.cell.twin}
    return [(firsts[record.run, record.cell.group], record) for record in tested if record.cell.twin]

"""What `bench run --null-test` says: the variant against itself, the verdict, where the trace is kept."""

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from harness.analysis.statistics.ratios import Ratio
    from harness.records.record import Record


def keep_traces(records: "Sequence[Record]", folder: "Path") -> None:
    """Write the trace of every null test among the records, and say on stderr what came out."""
    from harness.analysis.statistics.ratios import Ratio, judge, speedup
    from harness.studies.traces import save, trace_of

    for first, second in _pairs(records):
        if not first.rounds or not second.rounds:
            continue
        path = save(trace_of(first, second), folder)
        found = speedup(second, first)
        if isinstance(found, Ratio):
            ratio = f"{found.value:.3f}x [{found.low:.3f}, {found.high:.3f}]"
            said = f"{first.cell.variant} against itself: {ratio}, {judge(found).verdict}"
            typer.echo(f"bench: {said}, over {found.count} rounds{_of_requests(found)}", err=True)
        typer.echo(f"bench: the trace is in {path}", err=True)


def _of_requests(found: "Ratio") -> str:
    """Say what the verdict looked at, where that is not the ratio of totals."""
    if found.typical is None:
        return ""
    value, low, high = found.typical
    return f"; the typical request {value:.3f}x [{low:.3f}, {high:.3f}]"


def _pairs(records: "Sequence[Record]") -> "list[tuple[Record, Record]]":
    asked = [record for record in records if record.configuration.get("null_test")]
    firsts = {(record.run, record.cell.group): record for record in asked if not record.cell.twin}
    return [(firsts[record.run, record.cell.group], record) for record in asked if record.cell.twin]

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
    from harness.analysis.statistics.multiple_testing import verdicts
    from harness.analysis.statistics.ratios import Ratio, speedup
    from harness.studies.traces import save, trace_of

    for first, *others in _copies(records):
        if not others or not all(record.rounds for record in (first, *others)):
            continue
        path = save(trace_of([first, *others]), folder)
        ratios = [ratio for other in others if isinstance(ratio := speedup(other, first), Ratio)]
        for judgement in verdicts(ratios):
            ratio = judgement.ratio
            interval = f"{ratio.value:.3f}x [{ratio.low:.3f}, {ratio.high:.3f}]"
            verdict = f"{first.cell.variant} against itself: {interval}, {judgement.verdict}"
            typer.echo(f"bench: {verdict}, over {ratio.count} rounds{_typical_request(ratio)}", err=True)
        typer.echo(f"bench: the trace is in {path}", err=True)


def _typical_request(ratio: "Ratio") -> str:
    """Return the ratio that the verdict is about, where that is not the ratio of totals."""
    if ratio.totals is None:
        return ""
    value, low, high = ratio.totals
    return f"; of the typical request, totals {value:.3f}x [{low:.3f}, {high:.3f}]"


def _copies(records: "Sequence[Record]") -> "list[list[Record]]":
    """Return the records of each null test, in the order of their copies."""
    tests: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        if record.configuration.get("null_test"):
            tests.setdefault((record.run, record.cell.group), []).append(record)
    return [sorted(copies, key=lambda record: record.cell.twin) for copies in tests.values()]

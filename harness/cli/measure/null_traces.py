"""`python -m harness.cli.measure.null_traces [DIR]`: how often verdicts on null tests are right.

For each number of rounds: how often a family of equal things shows a false difference, and how often a
slow-down of 5 % is found among them; then what stopping at a given precision does (docs/method.md).
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.analysis.statistics.significance import LAUNCH_FREEDOM, LAUNCH_SPREAD
from harness.studies.launches import LaunchVariance, launch_variance, pooled
from harness.studies.null_test import (
    PLANTED,
    WANTED,
    NullTestRow,
    rounds_needed,
    rounds_per_launch,
    study,
    study_launches,
    until_narrow,
)
from harness.studies.traces import Trace, load_all

COUNTS = (3, 7, 11, 15, 20, 30, 40, 60)

LAUNCHES = (1, 2, 3, 4, 6, 12)

QUIET = "quiet"
"""The condition of an undisturbed trace starts with this."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables of traces: quiet or disturbed, of one thread or several, of one launch or several."""
    options = _parser().parse_args(arguments)
    traces = load_all(options.folder)
    lines = of_launches(traces) if options.launches else report(traces, options.family, options.times)
    sys.stdout.write("\n".join(lines) + "\n")


def of_launches(traces: Sequence[Trace]) -> list[str]:
    """Return the lines on how much processes of one program differ, from the traces with several launches."""
    variances = [variance for trace in traces if (variance := launch_variance(trace))]
    if not variances:
        return ["no trace has several launches: bench run --null-test VARIANT --rounds 5 --launches 12"]
    spread, upper, freedom = pooled(variances)
    allowed = (
        f"{100 * LAUNCH_SPREAD:.2f} % with {LAUNCH_FREEDOM} (harness/analysis/statistics/significance.py)"
    )
    return [
        "standard deviation of the typical request's ratio, of two processes of one variant:",
        "  variant            task     launches      seen    by noise   between launches",
        *map(_launch_line, variances),
        f"  all, with {freedom} degrees of freedom: {100 * spread:.2f} %, at most {100 * upper:.2f} %",
        f"  allowed for: {allowed}",
    ]


def _launch_line(variance: LaunchVariance) -> str:
    total, noise = (f"{100 * value**0.5:.2f} %" for value in (variance.seen, variance.noise))
    name, launches = f"{variance.variant:18} {variance.task:8}", f"{variance.launches} of {variance.all}"
    return f"  {name} {launches:>8}   {total:>7}     {noise:>7}   {100 * variance.spread:14.2f} %"


def report(traces: Sequence[Trace], family: int, times: int) -> list[str]:
    """Return the lines of the report: `times` draws for each figure, families of `family` comparisons."""
    quiet = [trace for trace in traces if trace.condition.startswith(QUIET)]
    disturbed = [trace for trace in traces if trace not in quiet]
    lines = [
        f"{len(quiet)} quiet traces and {len(disturbed)} disturbed ones; {times:,} draws for each figure."
    ]
    sizes, parts = sorted({1, family}), _by_condition({"quiet": quiet, "disturbed": disturbed})
    for condition, part in parts.items():
        several, title = len(set(part[0].launch)) > 1, _title(condition, part)
        rows = study_launches(part, LAUNCHES, sizes, times) if several else study(part, COUNTS, sizes, times)
        lines += _tables(title, rows, sizes)
        if not several:
            lines += ["", *_precision_lines(title, part, times)]
    if len(parts) > 1:  # a family of a report is of one machine; one of all of them is the harder test
        lines += _tables(_title("all in one pot", traces), study(traces, COUNTS, sizes, times), sizes)
    return lines


def _title(condition: str, traces: Sequence[Trace]) -> str:
    return f"{condition} ({len(traces)} {'trace' if len(traces) == 1 else 'traces'})"


def _tables(title: str, rows: Sequence[NullTestRow], sizes: Sequence[int]) -> list[str]:
    tables = (_table(title, [row for row in rows if row.family == size], size) for size in sizes)
    return [line for table in tables for line in ("", *table)]


def _by_condition(traces: Mapping[str, Sequence[Trace]]) -> dict[str, list[Trace]]:
    """Return the traces that share a table, by its title."""
    parts: dict[str, list[Trace]] = {}
    for condition, of_condition in traces.items():
        for trace in sorted(of_condition, key=lambda each: (len(set(each.launch)) > 1, each.threads > 1)):
            threads = "one thread" if trace.threads == 1 else "several threads"
            several = len(set(trace.launch)) > 1
            launches = f", launches of {rounds_per_launch(trace)} rounds" if several else ""
            parts.setdefault(f"{condition}, {threads}{launches}", []).append(trace)
    return parts


def _table(title: str, rows: Sequence[NullTestRow], family: int) -> list[str]:
    comparisons = "one comparison" if family == 1 else f"{family} comparisons in one family"
    needed = rounds_needed(rows)
    most = max(row.rounds for row in rows)
    first = f"{needed} rounds" if needed else f"more than {most} rounds"
    several = max(row.launches for row in rows) > 1
    heading = f"rounds   false alarms   {100 * (PLANTED - 1):.0f} % slow-down found"
    return [
        f"{title}, {comparisons}:",
        f"  {'launches   ' if several else ''}{heading}",
        *(f"{f'  {row.launches:8} ' if several else ''}{_row(row)}" for row in rows),
        f"  found in {100 * WANTED:.0f} %: from {first} on",
    ]


def _row(row: NullTestRow) -> str:
    return f"  {row.rounds:6}   {100 * row.false_alarms:10.2f} %   {100 * row.found:18.1f} %"


def _precision_lines(title: str, traces: Sequence[Trace], times: int) -> list[str]:
    lines = [f"{title}, rounds added to 11 until the interval is narrow (--precision), one comparison:"]
    for half_width in (0.05, 0.02):
        stopped = until_narrow(traces, half_width, first=11, step=4, times=times)
        lines.append(
            f"  {100 * half_width:.0f} %: false alarms {100 * stopped.false_alarms:.2f} %, reached in "
            f"{100 * stopped.reached:.0f} %, median {stopped.rounds:.0f} rounds"
        )
    return lines


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Replay the traces of null tests.")
    parser.add_argument("folder", type=Path, nargs="?", default=Path("results/traces"), metavar="DIR")
    parser.add_argument("--family", type=int, default=20, help="comparisons in a report")
    parser.add_argument("--launches", action="store_true", help="how much launches differ, instead")
    parser.add_argument("--times", type=int, default=1000, help="draws for each figure")
    return parser


if __name__ == "__main__":
    main()

"""`python -m harness.cli.measure.null_traces [DIR]`: how often intervals, verdicts and advice are right.

    traces --every other one--> what is known of hosts (--known)
           --the others--> coverage, false differences, power, advice; --simulated: drawn rounds instead

Known variances are learnt from one half of the traces, in the order of their names, and everything is counted
on the other half (docs/explanation/method.md).
"""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from harness.analysis.statistics.variance.known_hosts import known_on
from harness.analysis.statistics.variance.model import KnownVariance
from harness.studies.host_variance import as_json, differences_of_runs, learn, pairs_of_runs
from harness.studies.null_followup import replay_advice, replay_precision
from harness.studies.null_test import (
    PLANTED,
    SHAPES,
    Count,
    NullTestRow,
    Shape,
    study,
)
from harness.studies.simulated_noise import KINDS, coverage
from harness.studies.traces import Trace, load_all

CHECKED = "repeats that check"
"""The condition of repeated runs that nothing is learnt from."""

QUIET = "quiet"
"""The condition of an undisturbed trace starts with this."""

SIMULATED = (Shape(1, 5), Shape(1, 11), Shape(1, 22), Shape(2, 10), Shape(3, 10))

FAMILY = 13
"""Comparisons of a report on seven variants over two references, which are not compared with themselves."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Print what the options ask for."""
    options = _parser().parse_args(arguments)
    if options.simulated:
        lines: Iterable[str] = simulated(options.draws)
    elif options.known:
        lines = [known(load_all(options.folder))]
    else:
        lines = report(validating(load_all(options.folder)), options.family)
    sys.stdout.writelines(f"{line}\n" for line in lines)


def learning(traces: Sequence[Trace]) -> list[Trace]:
    """Return what is learnt from: every other quiet null test of a kind, and traces of several variants."""
    kinds: dict[tuple[object, ...], list[Trace]] = {}
    for trace in traces:
        if trace.is_null_test and trace.condition.startswith(QUIET):
            kinds.setdefault((trace.processor, trace.threads, len(set(trace.launch))), []).append(trace)
    null_tests = [trace for of_kind in kinds.values() for trace in of_kind[::2]]
    repeats = (trace for trace in traces if not trace.is_null_test and trace.condition != CHECKED)
    return [*null_tests, *repeats]


def validating(traces: Sequence[Trace]) -> list[Trace]:
    """Return the traces that are counted: none that variances are learnt from."""
    used = {trace.run for trace in learning(traces)}
    return [trace for trace in traces if trace.run not in used]


def known(traces: Sequence[Trace]) -> str:
    """Return what the learning half shows of hosts, as `known_hosts.json` holds it."""
    hosts = [as_json(host) for host in learn(learning(traces))]
    return json.dumps({"hosts": hosts}, indent=1)


def report(traces: Sequence[Trace], family: int) -> Iterator[str]:
    """Yield the tables of traces, by condition and threads."""
    yield f"{len(traces)} traces that no variance was learnt from; blocks share no round."
    yield "In brackets: exact 95 % intervals of a rate, or its one-sided upper bound."
    repeats = [trace for trace in traces if not trace.is_null_test]
    for title, part in _by_condition([trace for trace in traces if trace.is_null_test]).items():
        yield ""
        yield f"{title} ({len(part)} trace{'s' if len(part) > 1 else ''})"
        yield from _table(part, family)
        yield from _advice(part, family)
        yield from _precision(part)
    yield from _repeated(repeats)


def _repeated(traces: Sequence[Trace]) -> Iterator[str]:
    """Yield how often two runs of the same cells differ by no more than is stated."""
    counts: dict[tuple[str, str, str], list[bool]] = {}
    for first, second in pairs_of_runs(traces):
        host = known_on(first.processor, first.threads)
        threads = "one thread" if first.threads == 1 else "several threads"
        for name, apart in differences_of_runs(first, second, host):
            counts.setdefault((threads, name, first.task), []).append(
                abs(apart.value) <= apart.half_width(0.95)
            )
    if counts:
        yield ""
        yield "pairs of runs of the same cells, a minute apart, within their stated difference:"
    for (threads, name, task), outcomes in sorted(counts.items()):
        count = Count(sum(outcomes), len(outcomes))
        yield f"  {threads}, {name}, {task}: {_with_interval(count)} of {count.units}"


def _by_condition(traces: Sequence[Trace]) -> dict[str, list[Trace]]:
    parts: dict[str, list[Trace]] = {}
    for trace in sorted(traces, key=lambda trace: (not trace.condition.startswith(QUIET), trace.threads > 1)):
        condition = "quiet" if trace.condition.startswith(QUIET) else "disturbed"
        threads = "one thread" if trace.threads == 1 else "several threads"
        parts.setdefault(f"{condition}, {threads}", []).append(trace)
    return parts


def _known_of(trace: Trace) -> tuple[KnownVariance | None, KnownVariance | None]:
    host = known_on(trace.processor, trace.threads)
    return (host.ratio, host.typical) if host else (None, None)


def _table(traces: Sequence[Trace], family: int) -> Iterator[str]:
    rows = [row for shape in SHAPES if (row := study(traces, shape, _known_of, family))]
    yield "  launches x rounds  intervals hold 1      width  of needed  false differences   families with any"
    yield from map(_calibration, rows)
    sizes = "".join(f"{f'{100 * (size - 1):.0f} %':>14}" for size in PLANTED)
    yield f"  slow-downs found, alone and of {family}{sizes}"
    yield from map(_power, rows)


def _calibration(row: NullTestRow) -> str:
    return (
        f"  {row.shape!s:>17}  {_with_interval(row.covered):20}  {200 * row.half_width:4.1f} %"
        f"  {row.width:9.2f}  {_hits(row.alarms):17}   {_hits(row.families)}"
    )


def _power(row: NullTestRow) -> str:
    cells = (f"{_percent(row.found[size])}, {_percent(row.found_in_family[size])}" for size in PLANTED)
    return f"  {row.shape!s:>17}{'':17}" + "".join(f"{cell:>14}" for cell in cells)


def _percent(count: Count) -> str:
    return f"{100 * count.rate:.0f} %"


def _with_interval(count: Count) -> str:
    low, high = count.interval
    return f"{100 * count.rate:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


def _hits(count: Count) -> str:
    return f"{count.hits} of {count.units} [{100 * count.at_most:.1f} %]"


def _advice(traces: Sequence[Trace], family: int) -> Iterator[str]:
    for start in (Shape(1, 5), Shape(1, 11)):
        for members in (1, family):
            row = replay_advice(traces, _known_of, start, PLANTED[0], members)
            if row.kept.units:
                of = "alone" if members == 1 else f"of {members}"
                kept = f"{_with_interval(row.kept)} of {row.kept.units}"
                yield f"  advice after {start} where 5 % was not found, {of}: came true in {kept}"


def _precision(traces: Sequence[Trace]) -> Iterator[str]:
    for half_width in (0.05, 0.02):
        row = replay_precision(traces, _known_of, half_width)
        yield (
            f"  --precision {100 * half_width:.0f} %: intervals hold 1 in {_with_interval(row.covered)}, "
            f"false {_hits(row.alarms)}, reached in {_percent(row.reached)}, median {row.rounds:.0f} rounds"
        )


def simulated(draws: int) -> Iterator[str]:
    """Yield the coverage of intervals on drawn rounds."""
    yield f"coverage of 95 % intervals (width over what is needed), {draws:,} draws of each"
    for noise in KINDS:
        cells = [coverage(noise, shape, draws) for shape in SIMULATED]
        yield f"  {noise.name:50}" + "".join(
            f"  {cell.shape}: {100 * cell.covered.rate:.1f} % ({cell.width:.2f})" for cell in cells
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Replay the traces of null tests.")
    parser.add_argument("folder", type=Path, nargs="?", default=Path("results/traces"), metavar="DIR")
    parser.add_argument("--family", type=int, default=FAMILY, help="comparisons in a report")
    parser.add_argument("--known", action="store_true", help="what is known of hosts, instead")
    parser.add_argument("--simulated", action="store_true", help="coverage on drawn rounds, instead")
    parser.add_argument("--draws", type=int, default=10_000, help="draws of each kind of noise")
    return parser


if __name__ == "__main__":
    main()

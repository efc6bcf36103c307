"""What launches and runs of one program differ by on a kind of host, from traces.

    traces of one processor --differences that are truly 0, and their variance--> the variance that is missing

Two equal processes differ for as long as they live (placement of memory, large pages), and two runs by what
changed on the machine between them. The known variance is the smallest with which 95 % of the intervals hold
the true difference: it is chosen by coverage, on traces that validate nothing.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np

from harness.analysis.statistics.estimates import CONFIDENCE
from harness.analysis.statistics.typical_request import influence_of_rounds
from harness.analysis.statistics.variance.known_hosts import KnownHost
from harness.analysis.statistics.variance.model import Floats, KnownVariance, Location, difference, location
from harness.common.json_types import JsonObject
from harness.studies.null_test import logs_of
from harness.studies.traces import Trace

DEVIATIONS = np.linspace(0, 0.2, 2001)
"""Standard deviations that are considered."""

MOST_FREEDOM = 64.0
"""Degrees of freedom of a variance that many units showed: hosts of one processor differ, too."""

BETWEEN_RUNS = timedelta(hours=1)
"""Runs of one cell that are further apart are no repeats: the host may be another."""


@dataclass(frozen=True, slots=True)
class NullDifference:
    """A difference whose true value is 0, with its variance within launches (or runs) and its freedom.

    `units` is how often the missing variance of one launch (or run) is in it.
    """

    value: float
    variance: float
    freedom: float
    units: int


def learn(traces: Sequence[Trace]) -> list[KnownHost]:
    """Return what these traces show of each processor, with one thread and with several."""
    kinds: dict[tuple[str, str], list[Trace]] = {}
    for trace in traces:
        threads = "one" if trace.threads == 1 else "several"
        kinds.setdefault((trace.processor, threads), []).append(trace)
    return [
        _known_host(kind, of_kind) for kind, of_kind in sorted(kinds.items()) if any(map(_several, of_kind))
    ]


def _several(trace: Trace) -> bool:
    return len(set(trace.launch)) > 1


def as_json(host: KnownHost) -> JsonObject:
    """Return a host as `known_hosts.json` holds it: standard deviations instead of variances."""
    variances = {name: getattr(host, name) for name in ("ratio", "typical", "time", "run_ratio", "run_time")}
    deviations = {
        name: {"deviation": float(f"{math.sqrt(known.variance):.3g}"), "freedom": known.freedom}
        for name, known in variances.items()
    }
    return {"processor": host.processor, "threads": host.threads, **deviations}


def _known_host(kind: tuple[str, str], traces: Sequence[Trace]) -> KnownHost:
    ratio = missing_variance(of_launches(traces, _ratios))
    time = missing_variance(between_launches(traces))
    return KnownHost(
        *kind,
        ratio=ratio,
        typical=missing_variance(of_typical_requests(traces)),
        time=time,
        run_ratio=missing_variance(between_runs(traces, _ratios_of_variants, ratio)),
        run_time=missing_variance(between_runs(traces, _times, time)),
    )


def missing_variance(differences: Iterable[NullDifference]) -> KnownVariance:
    """Return the smallest variance of one unit with which 95 % of the intervals hold 0; 0 without any."""
    from scipy.special import stdtrit

    observed = list(differences)
    if not observed:
        return KnownVariance(0.0, 1.0)
    values, variances, freedoms, units = (
        np.array([getattr(each, name) for each in observed])
        for name in ("value", "variance", "freedom", "units")
    )
    known = min(max(len(observed) - 1.0, 1.0), MOST_FREEDOM)
    for deviation in DEVIATIONS:
        added = units * deviation**2
        total = variances + added
        freedom = total**2 / (variances**2 / freedoms + added**2 / known)
        reach = np.sqrt(total) * stdtrit(freedom, (1 + CONFIDENCE) / 2)
        if (np.abs(values) <= reach).mean() >= CONFIDENCE:
            break
    return KnownVariance(float(deviation**2), known)


Columns = Callable[[Trace], Iterator[Floats]]
"""Yields series of logarithms of a trace, one value for each round."""


def _times(trace: Trace) -> Iterator[Floats]:
    """Yield the logarithm of the time per request of each cell, by round."""
    yield from np.log(np.array(trace.wall_ns, dtype=np.float64) / np.array(trace.requests)).T


def _ratios(trace: Trace) -> Iterator[Floats]:
    """Yield the logarithm of the ratio of pairs of equal cells that share no cell, by round."""
    if trace.is_null_test:
        times = list(_times(trace))
        yield from (times[at] - times[at + 1] for at in range(0, len(times) - 1, 2))


def _ratios_of_variants(trace: Trace) -> Iterator[Floats]:
    """Yield the logarithm of the ratio of the first cell to each other, by round."""
    first, *others = _times(trace)
    yield from (first - other for other in others)


def of_launches(traces: Iterable[Trace], columns: Columns) -> Iterator[NullDifference]:
    """Yield what each launch shows of series whose true value is 0."""
    for trace in traces:
        for values in columns(trace):
            for rows in _launches(trace):
                yield _difference(location(values[rows], [0] * len(rows)), 1)


def of_typical_requests(traces: Iterable[Trace]) -> Iterator[NullDifference]:
    """Yield what each launch shows of the typical request of equal cells."""
    for trace in traces:
        for first in range(0, trace.cells - 1, 2) if trace.is_null_test else ():
            for rows in _launches(trace):
                logs = logs_of(trace, rows, (first, first + 1))
                influences = influence_of_rounds(logs) if logs else None
                if influences is not None:
                    yield _difference(location(influences, [0] * len(rows), trim=0.0), 1)


def between_launches(traces: Iterable[Trace]) -> Iterator[NullDifference]:
    """Yield the difference of consecutive launches of the first cell, in its time per request."""
    for trace in traces:
        values = next(_times(trace))
        parts = [location(values[rows], [0] * len(rows)) for rows in _launches(trace)]
        yield from (_difference(difference(after, before), 2) for before, after in pairwise(parts))


def between_runs(
    traces: Iterable[Trace], columns: Columns, launches: KnownVariance
) -> Iterator[NullDifference]:
    """Yield the difference of consecutive runs of the same cells, soon after one another."""
    for runs in _repeats(traces):
        for first, second in pairwise(runs):
            if _apart(first, second) <= BETWEEN_RUNS:
                yield from _between_runs(first, second, columns, launches)


def pairs_of_runs(traces: Iterable[Trace]) -> Iterator[tuple[Trace, Trace]]:
    """Yield pairs of runs of the same cells, one after the other, that share no run."""
    for runs in _repeats(traces):
        yield from zip(runs[::2], runs[1::2], strict=False)


def differences_of_runs(first: Trace, second: Trace, host: KnownHost | None) -> list[tuple[str, Location]]:
    """Return how each time and each ratio over the first cell differs, with what two runs may differ by."""
    quantities = (
        ("time per request", _times, host and (host.time, host.run_time)),
        ("speed-up", _ratios_of_variants, host and (host.ratio, host.run_ratio)),
    )
    differences = []
    for name, columns, known in quantities:
        launches, *runs = known or (None,)
        for before, after in zip(columns(first), columns(second), strict=True):
            parts = (location(before, first.launch, launches), location(after, second.launch, launches))
            differences.append((name, difference(parts[1], parts[0], *runs, *runs)))
    return differences


def _repeats(traces: Iterable[Trace]) -> list[list[Trace]]:
    repeats: dict[tuple[object, ...], list[Trace]] = {}
    for trace in sorted(traces, key=lambda trace: trace.created):
        key = (trace.variants, trace.task, trace.model, trace.scenario, trace.threads)
        repeats.setdefault(key, []).append(trace)
    return list(repeats.values())


def _between_runs(
    first: Trace, second: Trace, columns: Columns, launches: KnownVariance
) -> Iterator[NullDifference]:
    for before, after in zip(columns(first), columns(second), strict=True):
        parts = (location(before, first.launch, launches), location(after, second.launch, launches))
        yield _difference(difference(parts[1], parts[0]), 2)
        if first.is_null_test and columns is _times:
            return  # copies of one variant share what their run differs by


def _difference(of: Location, units: int) -> NullDifference:
    return NullDifference(of.value, of.variance, of.freedom, units)


def _launches(trace: Trace) -> list[list[int]]:
    """Return the rows of each launch."""
    launches = dict.fromkeys(trace.launch)
    return [[at for at, of in enumerate(trace.launch) if of == launch] for launch in launches]


def _apart(first: Trace, second: Trace) -> timedelta:
    return datetime.fromisoformat(second.created) - datetime.fromisoformat(first.created)

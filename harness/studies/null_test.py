"""Replays null tests: how often intervals, verdicts and advice of reports are right on real noise.

    traces --blocks that share no round--> ratios, as in reports --> counts, with exact binomial bounds

A null test measures copies of one variant side by side, so that every true ratio is 1. Every ratio, verdict
and advice comes from the functions that reports use. Blocks share no round and comparisons no cell, so that
the counts are of independent units; a family is all copies over the first, as a report has one reference.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from harness.analysis.statistics.binomial import exact_interval
from harness.analysis.statistics.multiple_testing import verdicts
from harness.analysis.statistics.ratios import FAMILY_LEVEL, PairedRounds, Ratio, judge, paired_ratios
from harness.analysis.statistics.variance.model import Floats, KnownVariance
from harness.studies.traces import Trace

PLANTED = (1.05, 1.1, 1.2)
"""Slow-downs that are planted into one side of a comparison."""

Item = TypeVar("Item")

_DIFFERENT = ("faster", "slower")

Known = Callable[[Trace], tuple[KnownVariance | None, KnownVariance | None]]
"""What is known of launches on the host of a trace: for totals, and for the typical request."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The rounds of a comparison: so many launches of so many rounds."""

    launches: int
    rounds: int

    def __str__(self) -> str:
        """Format it for a table."""
        return f"{self.launches} x {self.rounds}"


SHAPES = (Shape(1, 5), Shape(1, 11), Shape(1, 22), Shape(2, 10), Shape(3, 10))


@dataclass(frozen=True, slots=True)
class Count:
    """How often something happened among independent units, with the exact interval of its rate."""

    hits: int
    units: int

    @property
    def rate(self) -> float:
        """The observed rate; NaN of no units."""
        return self.hits / self.units if self.units else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """The exact 95 % interval of the rate (C. Clopper and E. Pearson 1934)."""
        return exact_interval(self.hits, self.units)

    @property
    def at_most(self) -> float:
        """The one-sided 95 % upper bound of the rate."""
        return exact_interval(self.hits, self.units, confidence=0.9)[1]


@dataclass(frozen=True, slots=True)
class NullTestRow:
    """What the blocks of one shape show.

    `covered` counts intervals that hold the true ratio 1, `alarms` comparisons with a false difference,
    `families` families with any, and `found` planted changes that are found, alone, by their size. `width` is
    the median width of an interval over the width that the real spread of the estimates needs.
    """

    shape: Shape
    covered: Count
    alarms: Count
    families: Count
    family: int
    found: dict[float, Count]
    found_in_family: dict[float, Count]
    half_width: float
    width: float


def study(traces: Sequence[Trace], shape: Shape, known: Known, family: int) -> NullTestRow | None:
    """Return what the blocks of a shape show; None if no trace has one.

    `family` is the number of comparisons for which the power in a family is counted.
    """
    pairs = [
        pair
        for trace in traces
        for rows in blocks(trace, shape)
        for pair in disjoint_pairs(trace, rows, known)
    ]
    if not pairs:
        return None
    equal = paired_ratios(pairs)
    families = [family_of(trace, rows, known) for trace in traces for rows in blocks(trace, shape)]
    judged = [verdicts(paired_ratios(members)) for members in families]
    planted = {size: paired_ratios([slowed(pair, size) for pair in pairs]) for size in PLANTED}
    logs = np.log([[ratio.value, ratio.low, ratio.high] for ratio in equal])
    half_width = float(np.median(logs[:, 2] - logs[:, 1])) / 2
    return NullTestRow(
        shape,
        covered=count(ratio.low <= 1 <= ratio.high for ratio in equal),
        alarms=count(differs(ratio) for ratio in equal),
        families=count(any(each.verdict in _DIFFERENT for each in members) for members in judged),
        family=max(map(len, families)),
        found={size: count(map(differs, ratios)) for size, ratios in planted.items()},
        found_in_family={size: count(differs(r, family) for r in ratios) for size, ratios in planted.items()},
        half_width=half_width,
        width=half_width / float(np.quantile(np.abs(logs[:, 0]), 0.95)),
    )


def blocks(trace: Trace, shape: Shape) -> Iterator[list[int]]:
    """Yield the rows of each block of a shape; no row is in two blocks."""
    by_launch = [
        [at for at, of in enumerate(trace.launch) if of == launch] for launch in dict.fromkeys(trace.launch)
    ]
    if shape.launches == 1:
        for rows in by_launch:
            yield from _batches(rows, shape.rounds)
        return
    long = [rows[: shape.rounds] for rows in by_launch if len(rows) >= shape.rounds]
    for group in _batches(long, shape.launches):
        yield [row for rows in group for row in rows]


def _batches(items: Sequence[Item], size: int) -> Iterator[list[Item]]:
    """Yield consecutive whole batches."""
    for start in range(0, len(items) - size + 1, size):
        yield list(items[start : start + size])


def disjoint_pairs(trace: Trace, rows: Sequence[int], known: Known) -> list[PairedRounds]:
    """Return comparisons of the cells of a trace that share no cell."""
    return [pair_of_cells(trace, rows, cells, known) for cells in pairs_of_cells(trace)]


def family_of(trace: Trace, rows: Sequence[int], known: Known) -> list[PairedRounds]:
    """Return the comparison of every cell with the first."""
    return [pair_of_cells(trace, rows, (0, other), known) for other in range(1, trace.cells)]


def slowed(pair: PairedRounds, size: float) -> PairedRounds:
    """Return a comparison with every time of its system slowed down by this factor."""
    requests = [logs - np.log(size) for logs in pair.requests]
    return PairedRounds(
        np.asarray(pair.ratios) / size, pair.launches, pair.over, requests, pair.known, pair.known_typical
    )


def pair_of_cells(trace: Trace, rows: Sequence[int], cells: tuple[int, int], known: Known) -> PairedRounds:
    """Return the comparison of two cells, (reference, system), over these rows of a trace."""
    reference, system = cells
    times = [[trace.wall_ns[row][cell] / max(trace.requests[row][cell], 1) for row in rows] for cell in cells]
    return PairedRounds(
        np.array(times[0]) / np.array(times[1]),
        [trace.launch[row] for row in rows],
        trace.variant,
        logs_of(trace, rows, (reference, system)) if trace.threads == 1 else (),
        *known(trace),
    )


def logs_of(trace: Trace, rows: Sequence[int], cells: tuple[int, int] = (0, 1)) -> list[Floats]:
    """Return log(reference / system) of every request by round; empty if a round has no times of requests."""
    pairs = [[np.asarray(trace.asked_us[row][cell], dtype=np.float64) for cell in cells] for row in rows]
    return [np.log(pair[0] / pair[1]) for pair in pairs] if all(pair[0].size for pair in pairs) else []


def differs(ratio: Ratio, family: int = 1) -> bool:
    """Return whether a ratio is judged a difference; in a family, where all others hold no difference."""
    return judge(ratio, level=FAMILY_LEVEL / family).verdict in _DIFFERENT


def count(hits: Iterable[bool]) -> Count:
    """Return how many of these outcomes are True."""
    outcomes = list(hits)
    return Count(sum(outcomes), len(outcomes))


def pairs_of_cells(trace: Trace) -> list[tuple[int, int]]:
    """Return pairs of cells that share no cell: reference, system."""
    return [(first, first + 1) for first in range(0, trace.cells - 1, 2)]

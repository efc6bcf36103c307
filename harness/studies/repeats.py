"""Repeated runs of the same cells on one machine, and how far apart their intervals say they may be.

runs --pairs that share no run--> changes of p50, throughput, speed-up --over their standard error--> counts
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from harness.analysis.comparison import MissingChange, SampleAccess, match_cells, quantity_change
from harness.analysis.statistics.ratios import Ratio, speedup
from harness.analysis.statistics.variance.known_hosts import known_host
from harness.analysis.statistics.variance.model import difference
from harness.records.record import Record

QUANTITIES = ("latency_p50", "throughput")

LEVEL = 0.05
"""A difference within 1.96 standard errors of a normal distribution has a p-value above this."""


@dataclass(frozen=True, slots=True)
class RepeatedQuantity:
    """How often one quantity of one variant differs by no more than its standard error says."""

    name: str
    variant: str
    p_values: tuple[float, ...]
    percent: tuple[float, ...]

    @property
    def within(self) -> int:
        """The pairs whose difference is within 1.96 standard errors."""
        return sum(p > LEVEL for p in self.p_values)


def repeated(runs: Sequence[Sequence[Record]], raw: SampleAccess) -> list[RepeatedQuantity]:
    """Return each quantity of each variant over consecutive pairs of runs that share no run."""
    differences = [
        difference
        for before, after in zip(runs[::2], runs[1::2], strict=False)
        for difference in (*_changes(before, after, raw), *_speedups(before, after))
    ]
    ordered = sorted(differences, key=lambda each: each[:2])
    return [
        RepeatedQuantity(*key, *zip(*(each[2:] for each in group), strict=True))
        for key, group in groupby(ordered, key=lambda each: each[:2])
    ]


def _changes(
    before: Sequence[Record], after: Sequence[Record], raw: SampleAccess
) -> Iterator[tuple[str, str, float, float]]:
    for old, new in match_cells(before, after).pairs:
        for name in QUANTITIES:
            change = quantity_change(name, old, new, raw=raw)
            if not isinstance(change, MissingChange) and change.p is not None:
                yield name, new.cell.variant, change.p, change.change.value


def _speedups(before: Sequence[Record], after: Sequence[Record]) -> Iterator[tuple[str, str, float, float]]:
    """Yield how the speed-up over the first record of each run changed."""
    known = known_host(after[0])
    runs = (known.run_ratio, known.run_ratio) if known else ()
    for old, new in zip(before[1:], after[1:], strict=True):
        first, second = speedup(old, before[0]), speedup(new, after[0])
        if isinstance(first, Ratio) and isinstance(second, Ratio) and first.location and second.location:
            apart = difference(second.location, first.location, *runs)
            yield (
                f"speed-up over {after[0].cell.variant}",
                new.cell.variant,
                apart.p(),
                100 * (second.value / first.value - 1),
            )

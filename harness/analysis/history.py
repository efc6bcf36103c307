"""The history of a quantity over many runs: one series per cell and machine, and its change points.

records --build_history--> points in order of time --PELT--> change points, each with the commits around it

A single bad run is noise; a lasting level is a change. PELT (R. Killick, P. Fearnhead, I. Eckley 2012; in the
library ruptures) finds the levels that explain a series best, with a penalty for each further level in units
of the noise of the series. A level counts only if it differs from the previous one by more than the
tolerance, so that a long series with little noise does not report changes that do not matter.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from harness.analysis.comparison import QUANTITIES, CellKey, Quantity, key_of
from harness.analysis.comparison.base import PERCENTILES
from harness.analysis.diagnostics.base import primary_of
from harness.analysis.statistics.estimates import CONFIDENCE, energy_per_request, throughput
from harness.analysis.statistics.latency_percentiles import percentile_estimate
from harness.analysis.statistics.ratios import REFERENCES, Ratio, speedup
from harness.analysis.statistics.variance.known_hosts import known_time_variance
from harness.analysis.statistics.variance.model import Floats
from harness.common.errors import unknown_name
from harness.records.estimate import Estimate, Unavailable
from harness.records.record import Record

SPEED_UP = Quantity("speedup", "speed-up", "x", higher_is_better=True, tolerance=2.0, unpaired=5.0)
TRACKED: dict[str, Quantity] = {SPEED_UP.name: SPEED_UP, **QUANTITIES}
"""Quantities with a history. A speed-up is over the reference of the same run: a slow day cancels."""

LEAST_POINTS = 6
"""Points that a change point needs: three on each side."""

LEAST_LEVEL = 3
"""Points that a level needs."""

_TWO_THIRDS = 0.9674
"""Two thirds of a normal distribution lie within this many standard deviations."""

PENALTY = 4.0
"""Penalty of a further level, times the variance of the noise and the logarithm of the number of points.

Textbooks use 2 (a level and its place, log n each); with twice that, a series of pure noise has no change
point even with the heavy tails of timings (tests/harness/analysis/test_history.py)."""


@dataclass(frozen=True, slots=True)
class SeriesKey:
    """Identity of a series: a cell on one machine with the same data; `over` is the reference of a ratio."""

    cell: CellKey
    host: str
    data: str
    over: str = ""

    def __str__(self) -> str:
        """Format it for a heading."""
        over = f" over {self.over}" if self.over else ""
        return f"{self.cell}{over} on host {self.host[:12]}"


@dataclass(frozen=True, slots=True)
class HistoryPoint:
    """The value of one run with its interval, in the unit of the quantity, and the versions measured."""

    run: str
    created: str
    revision: str | None
    value: float
    low: float
    high: float
    software: tuple[tuple[str, str], ...] = ()
    model: str = ""


@dataclass(frozen=True, slots=True)
class ChangePoint:
    """A change of level at point `at`: percent (points of a quality), and the commits on either side.

    `last_before` and `first_after` name the commits or runs on either side, `moved` all other differences
    between them.
    """

    at: int
    change: float
    worse: bool
    last_before: str
    first_after: str
    moved: tuple[str, ...] = ()

    @property
    def commits(self) -> str:
        """The range of commits that contains its cause, in git's notation."""
        return f"{self.last_before}..{self.first_after}"


@dataclass(frozen=True, slots=True)
class Series:
    """One quantity of one cell over time with its change points; `why_none` explains too short a series."""

    key: SeriesKey
    quantity: Quantity
    points: tuple[HistoryPoint, ...]
    shifts: tuple[ChangePoint, ...] = ()
    why_none: str = ""


def build_history(records: Iterable[Record], quantity: str) -> list[Series]:
    """Return the series of one quantity with their change points; records without the quantity are left out.

    UsageError for a quantity that is not in `TRACKED`.
    """
    if quantity not in TRACKED:
        raise unknown_name("quantity", quantity, TRACKED)
    tracked, in_order = TRACKED[quantity], list(records)
    points: dict[SeriesKey, list[HistoryPoint]] = {}
    values = _speedups(in_order) if tracked is SPEED_UP else _values(in_order, quantity)
    for record, over, value in values:
        if point := _point(tracked, record, value):
            key = SeriesKey(key_of(record), record.host.fingerprint, record.data.fingerprint, over)
            points.setdefault(key, []).append(point)
    return [_series(key, tracked, points[key]) for key in sorted(points, key=str)]


def change_points(values: Sequence[float] | Floats, tolerance: float, *, as_share: bool = True) -> list[int]:
    """Return the indexes at which a new level begins, in order.

    `tolerance` is the smallest step between two levels: a share of the previous level, or with `as_share`
    False a difference. ValueError for values that are not finite, or not positive with `as_share`.
    """
    samples = np.asarray(values, dtype=np.float64)
    if not np.isfinite(samples).all() or (as_share and (samples <= 0).any()):
        raise ValueError("a series must hold finite values, and positive ones for shares")
    if len(samples) < LEAST_POINTS:
        return []
    scaled = np.log(samples) if as_share else samples
    noise = _noise(scaled)
    if noise == 0:
        noise = 1e-9  # without noise, every step is real
    import ruptures

    penalty = PENALTY * noise**2 * math.log(len(scaled))
    search = ruptures.Pelt(model="l2", min_size=LEAST_LEVEL, jump=1).fit(_without_outliers(scaled, noise))
    changes = search.predict(pen=penalty)[:-1]
    return _beyond_tolerance(scaled, changes, math.log1p(tolerance) if as_share else tolerance)


def _without_outliers(values: Floats, noise: float) -> Floats:
    """Clip single outliers to their neighbourhood, so that one disturbed run is not a level."""
    clipped = values.copy()
    for at in range(len(values)):
        neighbours = values[max(0, at - LEAST_LEVEL + 1) : at + LEAST_LEVEL]
        median = float(np.median(neighbours))
        clipped[at] = min(max(values[at], median - LEAST_LEVEL * noise), median + LEAST_LEVEL * noise)
    return clipped


def _noise(values: Floats) -> float:
    """Return the standard deviation of the noise from neighbouring differences, which steps hardly affect.

    From two thirds of the differences, not half: timings are narrow in the middle and have heavy tails.
    """
    steps = np.abs(np.diff(values))
    return float(np.quantile(steps, 2 / 3)) / (_TWO_THIRDS * math.sqrt(2))


def _beyond_tolerance(values: Floats, changes: Sequence[int], tolerance: float) -> list[int]:
    """Remove change points whose step is within the tolerance, the smallest step first."""
    kept = list(changes)
    while kept:
        edges = [0, *kept, len(values)]
        levels = [float(np.median(values[low:high])) for low, high in pairwise(edges)]
        steps = [abs(later - earlier) for earlier, later in pairwise(levels)]
        smallest = min(range(len(steps)), key=steps.__getitem__)
        if steps[smallest] > tolerance:
            break
        del kept[smallest]
    return kept


def _series(key: SeriesKey, quantity: Quantity, unordered: Sequence[HistoryPoint]) -> Series:
    points = tuple(sorted(unordered, key=lambda point: (point.created, point.run)))
    if len(points) < LEAST_POINTS:
        reason = f"{len(points)} of the {LEAST_POINTS} runs that a change point needs"
        return Series(key, quantity, points, why_none=reason)
    values = [point.value for point in points]
    changes = change_points(values, quantity.unpaired / 100, as_share=quantity.change_unit == "%")
    edges = [0, *changes, len(points)]
    shifts = (
        _change_point(quantity, points, *around) for around in zip(edges, edges[1:], edges[2:], strict=False)
    )
    return Series(key, quantity, points, tuple(shifts))


def _change_point(
    quantity: Quantity, points: Sequence[HistoryPoint], start: int, at: int, end: int
) -> ChangePoint:
    before = float(np.median([point.value for point in points[start:at]]))
    after = float(np.median([point.value for point in points[at:end]]))
    change = 100 * (after / before - 1 if quantity.change_unit == "%" else after - before)
    return ChangePoint(
        at=at,
        change=change,
        worse=(change < 0) == quantity.higher_is_better,
        last_before=points[at - 1].revision or points[at - 1].run,
        first_after=points[at].revision or points[at].run,
        moved=tuple(_other_differences(points[at - 1], points[at])),
    )


def _other_differences(before: HistoryPoint, after: HistoryPoint) -> Iterator[str]:
    old, new = dict(before.software), dict(after.software)
    for name in dict.fromkeys((*old, *new)):
        if old.get(name) != new.get(name):
            yield f"{name}: {old.get(name, 'none')}, then {new.get(name, 'none')}"
    if before.model != after.model:
        yield f"model: {before.model[:12]}, then {after.model[:12]}"


RecordValue = tuple[Record, str, Estimate | Ratio | None]
"""A record, the reference of a ratio (else empty), and the value."""


def _values(records: Sequence[Record], quantity: str) -> Iterator[RecordValue]:
    for record in records:
        if not record.cell.variant.endswith(("@base", "@base-again")):
            yield record, "", _VALUES[quantity](record)


def _speedups(records: Sequence[Record]) -> Iterator[RecordValue]:
    """Yield the speed-up of each record over the baseline of its run, or else the unpadded reference."""
    by_cell = {(record.run, record.cell.group, record.cell.variant): record for record in records}
    for record in records:
        names = [name for name in REFERENCES if (record.run, record.cell.group, name) in by_cell]
        if not names or record.cell.variant == names[0]:
            continue
        ratio = speedup(record, by_cell[record.run, record.cell.group, names[0]])
        if isinstance(ratio, Ratio):
            yield record, names[0], ratio


def _point(quantity: Quantity, record: Record, value: Estimate | Ratio | None) -> HistoryPoint | None:
    if value is None or not math.isfinite(value.value) or (quantity.change_unit == "%" and value.value <= 0):
        return None
    revision = str(record.revision) if record.revision else None
    software = tuple(sorted(record.software.items()))
    ends = value.value, value.low, value.high
    return HistoryPoint(record.run, record.created, revision, *ends, software, record.model.fingerprint)


def _throughput(record: Record) -> Estimate | None:
    estimate = throughput(record.rounds, known_time_variance(record))
    return None if isinstance(estimate, Unavailable) else estimate


def _energy(record: Record) -> Estimate | None:
    """Return measured joules only: modelled joules follow CPU time and need no history."""
    energy = energy_per_request(record.rounds, known=known_time_variance(record))
    return None if isinstance(energy, Unavailable) or energy.grade != "measured" else energy.microjoules


def _latency(p: int) -> Callable[[Record], Estimate | None]:
    def value(record: Record) -> Estimate | None:
        latency = percentile_estimate(record, f"p{p}")
        return None if isinstance(latency, Unavailable) else latency

    return value


def _exact(value: float | None) -> Estimate | None:
    return None if value is None else Estimate(value, value, value, CONFIDENCE, "one reading", 1)


_VALUES: dict[str, Callable[[Record], Estimate | None]] = {
    "throughput": _throughput,
    "energy": _energy,
    "memory": lambda record: _exact(record.memory.peak_bytes if record.memory else None),
    "size": lambda record: _exact(record.artifact.size_bytes if record.artifact else None),
    "quality": primary_of,
    **{name: _latency(p) for name, p in PERCENTILES.items()},
}

"""How a figure moved over many runs: one series for each cell on each machine, and where it changed for good.

records --series--> points in order of time --PELT--> change points, each with the commits it lies between

A single bad run is noise; a level that stays is a change. PELT (R. Killick, P. Fearnhead, I. Eckley 2012; by
the library ruptures) finds the levels that explain a series best at a price for each further level, counted
in the series' own noise. A level counts only if it differs from the one before by more than the tolerance, so
that a long quiet series does not report changes that nobody would feel.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from harness.analysis.comparison import QUANTITIES, CellKey, Quantity, key_of
from harness.analysis.comparison.base import PERCENTILES
from harness.analysis.statistics.estimates import Floats, energy_per_request, throughput
from harness.analysis.statistics.ratios import REFERENCES, Ratio, speedup
from harness.common.errors import unknown_name
from harness.records.estimate import Estimate, Unavailable
from harness.records.record import Record

SPEED_UP = Quantity("speedup", "speed-up", "x", higher_is_better=True, tolerance=2.0, unpaired=5.0)
TRACKED: dict[str, Quantity] = {SPEED_UP.name: SPEED_UP, **QUANTITIES}
"""What has a history. A speed-up is over the reference of the same run, so that a slow day cancels out."""

LEAST_POINTS = 6
"""Points before anything is said of a change: three on each side."""

LEAST_LEVEL = 3
"""Points that make a level."""

_TWO_THIRDS = 0.9674
"""Two thirds of a normal distribution lie within so many standard deviations."""

PENALTY = 4.0
"""What a further level costs, times the variance of the noise and the logarithm of the points.

It is 2 in the text books (a level and its place, at one log n each); twice that keeps a series of pure noise
whole where the noise has the heavy tails of timings (tests/harness/analysis/test_history.py)."""


@dataclass(frozen=True, slots=True)
class SeriesKey:
    """What one series is of: a cell on one machine, over the same examples; `over` is a ratio's reference."""

    cell: CellKey
    host: str
    data: str
    over: str = ""

    def __str__(self) -> str:
        """Say it as a heading does."""
        over = f" over {self.over}" if self.over else ""
        return f"{self.cell}{over} on host {self.host[:12]}"


@dataclass(frozen=True, slots=True)
class HistoryPoint:
    """One run's figure: value and interval in the quantity's unit, and what it was measured of."""

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
    """A change of level at point `at`: percent (points of a quality), and the commits that it lies between.

    `last_good` and `first_bad` name what was measured on either side; `moved` what else changed between them.
    """

    at: int
    change: float
    worse: bool
    last_before: str
    first_after: str
    moved: tuple[str, ...] = ()

    @property
    def commits(self) -> str:
        """The range of commits that brought it, as git reads it."""
        return f"{self.last_before}..{self.first_after}"


@dataclass(frozen=True, slots=True)
class Series:
    """One quantity of one cell over time; `shifts` in order, `why_none` where too little is known to look."""

    key: SeriesKey
    quantity: Quantity
    points: tuple[HistoryPoint, ...]
    shifts: tuple[ChangePoint, ...] = ()
    why_none: str = ""


def build_history(records: Iterable[Record], quantity: str) -> list[Series]:
    """Return the series of one quantity, each with its change points; records without it are left out.

    UsageError for a quantity that is not in `TRACKED`.
    """
    if quantity not in TRACKED:
        raise unknown_name("quantity", quantity, TRACKED)
    wanted, known = TRACKED[quantity], list(records)
    found: dict[SeriesKey, list[HistoryPoint]] = {}
    for record, over, figure in _speedups(known) if wanted is SPEED_UP else _figures(known, quantity):
        if point := _point(wanted, record, figure):
            key = SeriesKey(key_of(record), record.host.fingerprint, record.data.fingerprint, over)
            found.setdefault(key, []).append(point)
    return [_series(key, wanted, found[key]) for key in sorted(found, key=str)]


def change_points(values: Sequence[float] | Floats, tolerance: float, *, as_share: bool = True) -> list[int]:
    """Return the indexes at which a new level begins, in order.

    `tolerance` is what a level has to differ by: a share of the one before, else a difference.
    ValueError for a value that is not finite, or not positive where shares are asked for.
    """
    samples = np.asarray(values, dtype=np.float64)
    if not np.isfinite(samples).all() or (as_share and (samples <= 0).any()):
        raise ValueError("a series holds finite values, and positive ones for shares")
    if len(samples) < LEAST_POINTS:
        return []
    scaled = np.log(samples) if as_share else samples
    noise = _noise(scaled)
    if noise == 0:
        noise = 1e-9  # all steps are real where nothing else moves
    import ruptures

    price = PENALTY * noise**2 * math.log(len(scaled))
    search = ruptures.Pelt(model="l2", min_size=LEAST_LEVEL, jump=1).fit(_calm(scaled, noise))
    found = search.predict(pen=price)[:-1]
    return _felt(scaled, found, math.log1p(tolerance) if as_share else tolerance)


def _calm(values: Floats, noise: float) -> Floats:
    """Pull single points that stand far out to what is around them: one disturbed run makes no level."""
    calm = values.copy()
    for at in range(len(values)):
        around = values[max(0, at - LEAST_LEVEL + 1) : at + LEAST_LEVEL]
        middle = float(np.median(around))
        calm[at] = min(max(values[at], middle - LEAST_LEVEL * noise), middle + LEAST_LEVEL * noise)
    return calm


def _noise(values: Floats) -> float:
    """Return the standard deviation of the noise from neighbouring differences, which steps hardly touch.

    Two thirds of them, not half: the middle of timings is narrower than their heavy tails let one believe.
    """
    steps = np.abs(np.diff(values))
    return float(np.quantile(steps, 2 / 3)) / (_TWO_THIRDS * math.sqrt(2))


def _felt(values: Floats, found: Sequence[int], tolerance: float) -> list[int]:
    """Drop levels that are within the tolerance of the one before, the smallest step first."""
    kept = list(found)
    while kept:
        edges = [0, *kept, len(values)]
        levels = [float(np.median(values[low:high])) for low, high in pairwise(edges)]
        steps = [abs(later - earlier) for earlier, later in pairwise(levels)]
        least = min(range(len(steps)), key=steps.__getitem__)
        if steps[least] > tolerance:
            break
        del kept[least]
    return kept


def _series(key: SeriesKey, quantity: Quantity, found: Sequence[HistoryPoint]) -> Series:
    points = tuple(sorted(found, key=lambda point: (point.created, point.run)))
    if len(points) < LEAST_POINTS:
        why = f"{len(points)} of the {LEAST_POINTS} runs that a change point needs"
        return Series(key, quantity, points, why_none=why)
    as_share = quantity.change_unit == "%"
    tolerance = quantity.unpaired / 100
    values = [point.value for point in points]
    found_at = change_points(values, tolerance, as_share=as_share)
    edges = [0, *found_at, len(points)]
    shifts = tuple(_shift(quantity, points, edges, number) for number in range(1, len(edges) - 1))
    return Series(key, quantity, points, shifts)


def _shift(
    quantity: Quantity, points: Sequence[HistoryPoint], edges: Sequence[int], number: int
) -> ChangePoint:
    at = edges[number]
    before = float(np.median([point.value for point in points[edges[number - 1] : at]]))
    after = float(np.median([point.value for point in points[at : edges[number + 1]]]))
    change = 100 * (after / before - 1 if quantity.change_unit == "%" else after - before)
    return ChangePoint(
        at=at,
        change=change,
        worse=(change < 0) == quantity.higher_is_better,
        last_before=points[at - 1].revision or points[at - 1].run,
        first_after=points[at].revision or points[at].run,
        moved=tuple(_moved(points[at - 1], points[at])),
    )


def _moved(before: HistoryPoint, after: HistoryPoint) -> Iterable[str]:
    old, new = dict(before.software), dict(after.software)
    for name in dict.fromkeys((*old, *new)):
        if old.get(name) != new.get(name):
            yield f"{name}: {old.get(name, 'none')}, then {new.get(name, 'none')}"
    if before.model != after.model:
        yield f"model: {before.model[:12]}, then {after.model[:12]}"


Figure = tuple[Record, str, Estimate | Ratio | None]


def _figures(records: Sequence[Record], quantity: str) -> Iterator[Figure]:
    for record in records:
        if not record.cell.variant.endswith(("@base", "@base-again")):
            yield record, "", _FIGURES[quantity](record)


def _speedups(records: Sequence[Record]) -> Iterator[Figure]:
    """Yield each record's speed-up over what ran beside it: the baseline, or else the unpadded reference."""
    beside = {(record.run, record.cell.group, record.cell.variant): record for record in records}
    for record in records:
        names = [name for name in REFERENCES if (record.run, record.cell.group, name) in beside]
        if not names or record.cell.variant == names[0]:
            continue
        ratio = speedup(record, beside[record.run, record.cell.group, names[0]])
        if isinstance(ratio, Ratio):
            yield record, names[0], ratio


def _point(quantity: Quantity, record: Record, found: Estimate | Ratio | None) -> HistoryPoint | None:
    if found is None or not math.isfinite(found.value) or (quantity.change_unit == "%" and found.value <= 0):
        return None
    revision = str(record.revision) if record.revision else None
    software = tuple(sorted(record.software.items()))
    numbers = found.value, found.low, found.high
    return HistoryPoint(record.run, record.created, revision, *numbers, software, record.model.fingerprint)


def _throughput(record: Record) -> Estimate | None:
    found = throughput(record.rounds)
    return None if isinstance(found, Unavailable) else found


def _energy(record: Record) -> Estimate | None:
    """Return measured joules only: modelled ones have no history of their own."""
    found = energy_per_request(record.rounds)
    return None if isinstance(found, Unavailable) or found.grade != "measured" else found.microjoules


def _latency(p: int) -> Callable[[Record], Estimate | None]:
    def figure(record: Record) -> Estimate | None:
        found = record.latency.get(f"p{p}")
        if found is None or found.value_ns is None:
            return None
        low, high = (found.value_ns if end is None else end for end in (found.low_ns, found.high_ns))
        return Estimate(found.value_ns, low, high, 0.95, "percentile", found.have)

    return figure


def _exactly(value: float | None) -> Estimate | None:
    return None if value is None else Estimate(value, value, value, 0.95, "one reading", 1)


_FIGURES: dict[str, Callable[[Record], Estimate | None]] = {
    "throughput": _throughput,
    "energy": _energy,
    "memory": lambda record: _exactly(record.memory.peak_bytes if record.memory else None),
    "size": lambda record: _exactly(record.artifact.size_bytes if record.artifact else None),
    "quality": lambda record: record.quality.metrics.get(record.quality.primary) if record.quality else None,
    **{name: _latency(p) for name, p in PERCENTILES.items()},
}

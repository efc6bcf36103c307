"""The variance model of the project: what a mean over rounds is uncertain by, and why.

    values of rounds, by launch --locations--> Location = value, rounds, launches --interval, p--> report

A value (the logarithm of a ratio, or of a time) varies from round to round within one launch of the
processes, and from launch to launch. docs/explanation/method.md, "The variance model", derives and tests each
step:

    location   the trimmed mean of the rounds of each launch; launches weigh the same (J. Tukey and
               D. McLaughlin 1963)
    rounds     neighbouring rounds are alike: the variance of the mean is averaged over the correlations that
               the rounds of this run leave possible (first-order autoregression, restricted likelihood)
    launches   the variance of the launches' means that rounds do not explain, pooled with what is known of
               processes on such a host (as G. Smyth 2004 pools a prior variance with a sample's)
    sum        both add up; the degrees of freedom follow F. Satterthwaite (1946)
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

TRIM = 0.1
"""The share of rounds on either side of a launch that the location leaves out: 1 of 10, 2 of 22."""

CORRELATIONS = np.round(np.arange(-0.45, 0.96, 0.05), 2)
"""Correlations of neighbouring rounds that are considered, equally likely before the rounds are seen.

The range is chosen by coverage on simulated rounds (`harness.studies.simulated_noise`): with no negative ones
few independent rounds would always seem somewhat alike."""

FEW_ROUNDS = 8
"""With fewer rounds in all, correlations cannot be told from chance: those of null tests are assumed."""

USUAL_CORRELATION = 0.25
"""Standard deviation of the correlations that null tests show (chosen by their coverage at five rounds)."""

EXACTLY = 1e9
"""Degrees of freedom of a variance that is not estimated."""

_SMALLEST = 1e-30
"""A sum of squares below this is rounding: all rounds are equal."""

_BLOCK = 2048
"""Series that are computed on at once: their numbers stay in the processor's cache."""

_UNEXPLAINED = 0.99
"""Launches that differ more than the known variance explains, at this quantile of F, count alone."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the variance of a location: its variance, and the degrees of freedom it is known with."""

    variance: float
    freedom: float


KnownVariance = Part
"""What is known of the launches on a kind of host: the variance of one launch's mean."""


@dataclass(frozen=True, slots=True)
class Location:
    """A mean over rounds, and the parts of its variance.

    `between` is what launches add, and further parts (runs, for a difference of two); it is empty for one
    launch on a host of which nothing is known, and the variance is then that within one process.
    """

    value: float
    rounds: Part
    between: tuple[Part, ...]
    count: int
    launches: int

    @property
    def within_one_process(self) -> bool:
        """Whether the variance leaves out what another launch would change."""
        return not self.between

    @property
    def covers(self) -> str:
        """What the variance covers, for the name of a method."""
        return _covers(bool(self.between), self.launches)

    @property
    def variance(self) -> float:
        """The variance of the value: the sum of its parts."""
        return self.rounds.variance + sum(part.variance for part in self.between)

    @property
    def freedom(self) -> float:
        """The degrees of freedom of the variance (Satterthwaite)."""
        uncertain = sum(part.variance**2 / part.freedom for part in (self.rounds, *self.between))
        # what is known exactly, such as a meter's resolution, has no uncertainty of its own
        return self.variance**2 / uncertain if uncertain else EXACTLY

    def half_width(self, confidence: float) -> float:
        """Return half the width of the t interval."""
        from scipy.special import stdtrit  # scipy.stats takes a second to import

        return math.sqrt(self.variance) * float(stdtrit(self.freedom, (1 + confidence) / 2))

    def p(self, expected: float = 0.0) -> float:
        """Return the two-sided p-value of the hypothesis that the value is `expected`."""
        from scipy.special import stdtr

        distance = abs(self.value - expected)
        if not self.variance:
            return 0.0 if distance else 1.0
        return float(2 * stdtr(self.freedom, -distance / math.sqrt(self.variance)))


@dataclass(frozen=True, eq=False)
class Locations:
    """Locations of many series in columns, so that thousands of them are computed at once.

    `within` and `freedom` are what is known of the rounds: the variance of the value, and its degrees of
    freedom. The other columns are fields of `Location`.
    """

    values: Sequence[float]
    within: Sequence[float]
    freedom: Sequence[float]
    between: Sequence[tuple[Part, ...]]
    counts: Sequence[int]
    launches: Sequence[int]

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, at: int) -> Location:
        """Return one location."""
        rounds = Part(self.within[at], self.freedom[at])
        return Location(self.values[at], rounds, self.between[at], self.counts[at], self.launches[at])

    def __iter__(self) -> Iterator[Location]:
        return map(self.__getitem__, range(len(self)))

    @cached_property
    def variances(self) -> list[float]:
        """`Location.variance` of each."""
        return [
            within + sum([part.variance for part in between])
            for within, between in zip(self.within, self.between, strict=True)
        ]

    @cached_property
    def freedoms(self) -> list[float]:
        """`Location.freedom` of each."""
        uncertain = [
            sum([within**2 / freedom, *[part.variance**2 / part.freedom for part in between]])
            for within, freedom, between in zip(self.within, self.freedom, self.between, strict=True)
        ]
        return [
            variance**2 / each if each else EXACTLY
            for variance, each in zip(self.variances, uncertain, strict=True)
        ]

    def covers(self, at: int) -> str:
        """Return `Location.covers` of one."""
        return _covers(bool(self.between[at]), self.launches[at])

    def half_widths(self, confidence: float) -> list[float]:
        """Return `Location.half_width` of each."""
        from scipy.special import stdtrit

        quantiles = stdtrit(self.freedoms, (1 + confidence) / 2).tolist()
        return [
            math.sqrt(variance) * quantile
            for variance, quantile in zip(self.variances, quantiles, strict=True)
        ]

    def p_values(self, expected: float = 0.0) -> list[float]:
        """Return `Location.p` of each."""
        from scipy.special import stdtr

        distances = [abs(value - expected) for value in self.values]
        ends = [
            -distance / math.sqrt(variance or 1.0)
            for distance, variance in zip(distances, self.variances, strict=True)
        ]
        shares = (2 * stdtr(self.freedoms, ends)).tolist()
        return [
            share if variance else float(not distance)
            for share, variance, distance in zip(shares, self.variances, distances, strict=True)
        ]


def _covers(is_between_known: bool, launches: int) -> str:
    """Return what a variance covers, for the name of a method."""
    if not is_between_known:
        return "rounds, within one process"
    return "rounds and launches" if launches > 1 else "rounds, and what launches differ by here"


def difference(after: Location, before: Location, *further: Part) -> Location:
    """Return the difference of two independent locations; `further` parts add to its variance."""
    rounds = Location(0.0, before.rounds, (after.rounds,), 0, 1)
    return Location(
        after.value - before.value,
        Part(rounds.variance, rounds.freedom),
        (*after.between, *before.between, *further),
        min(after.count, before.count),
        min(after.launches, before.launches),
    )


Series = tuple[Sequence[float] | Floats, Sequence[int], KnownVariance | None]
"""A value for each round in order of time, the launch of each, and what is known of launches on that host."""


def location(
    values: Sequence[float] | Floats,
    launches: Sequence[int],
    known: KnownVariance | None = None,
    *,
    trim: float = TRIM,
) -> Location:
    """Return the location of one series."""
    return locations([(values, launches, known)], trim=trim)[0]


def locations(series: Sequence[Series], *, trim: float = TRIM) -> Locations:
    """Return the location of each series, in their order; series of equal shape are computed together."""
    shapes: dict[tuple[int, ...], list[int]] = {}
    for at, (_, launches, _) in enumerate(series):
        shapes.setdefault(tuple(launches), []).append(at)
    columns: list[list[Any]] = [[None] * len(series) for _ in fields(Locations)]
    for shape, every in shapes.items():
        rows = _rows_by_launch(shape)
        for places in (every[start : start + _BLOCK] for start in range(0, len(every), _BLOCK)):
            block = np.array([series[at][0] for at in places], dtype=np.float64)
            of_block = _of_shape(block, rows, [series[at][2] for at in places], trim)
            for column, values in zip(columns, of_block, strict=True):
                for at, value in zip(places, values, strict=True):
                    column[at] = value
    return Locations(*columns)


def _rows_by_launch(launches: tuple[int, ...]) -> list[list[int]]:
    """Return the places of the rounds of each launch."""
    return [[at for at, launch in enumerate(launches) if launch == each] for each in dict.fromkeys(launches)]


def _of_shape(
    values: Floats, rows: Sequence[Sequence[int]], known: Sequence[KnownVariance | None], trim: float
) -> tuple[Sequence[Any], ...]:
    """Return the columns of `Locations` for series, [series, rounds], whose launches have the same rounds."""
    parts = [np.ascontiguousarray(values[:, of]) for of in rows]
    influences = [_influences(part, trim) for part in parts]
    means = np.stack([mean for mean, _ in influences], axis=1)
    variance, freedom = _variance_of_rounds([deviations for _, deviations in influences], trim)
    count, rounds, size = len(parts), sum(part.shape[1] for part in parts), len(known)
    return (
        means.mean(axis=1).tolist(),
        (variance / count).tolist(),
        freedom.tolist(),
        _between(means, variance.tolist(), known),
        [rounds] * size,
        [count] * size,
    )


def _influences(part: Floats, trim: float) -> tuple[Floats, Floats]:
    """Return the trimmed mean of each row, and what each value adds to it (winsorised deviations)."""
    count = part.shape[1]
    cut = int(trim * count)
    ordered = np.sort(part, axis=1)
    kept = ordered[:, cut : count - cut]
    clipped = np.clip(part, kept[:, :1], kept[:, -1:])
    return kept.mean(axis=1), (clipped - clipped.mean(axis=1, keepdims=True)) / (1 - 2 * cut / count)


def _variance_of_rounds(deviations: Sequence[Floats], trim: float) -> tuple[Floats, Floats]:
    """Return the variance of one launch's mean (the mean over launches), and its degrees of freedom.

    For each correlation the restricted likelihood of a first-order autoregression weighs the logarithm of the
    variance that it implies. The freedom is that of as many independent rounds as these are worth.
    """
    lengths = [part.shape[1] for part in deviations]
    cut = sum(2 * int(trim * count) for count in lengths)
    independent = sum(lengths) - len(lengths)
    if independent < 1:  # one round in each launch: only launches show a variance
        return np.zeros(len(deviations[0])), np.ones(len(deviations[0]))
    squares = np.zeros((len(deviations[0]), len(CORRELATIONS)))
    log_constant, factor = np.zeros(len(CORRELATIONS)), np.zeros(len(CORRELATIONS))
    for part, count in zip(deviations, lengths, strict=True):
        squares += _squares(part)
        log_constant -= 0.5 * ((count - 1) * np.log(1 - CORRELATIONS**2) + np.log(_weight_of_mean(count)))
        factor += _mean_variance(count) / len(lengths) / independent
    log_squares = np.log(np.maximum(squares, _SMALLEST))
    log_weights = log_constant - 0.5 * independent * log_squares
    if sum(lengths) < FEW_ROUNDS:
        log_weights -= 0.5 * (CORRELATIONS / USUAL_CORRELATION) ** 2
    weights = np.exp(log_weights - log_weights.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    variance = np.exp((weights * (log_squares + np.log(factor))).sum(axis=1))
    correlation = (weights * CORRELATIONS).sum(axis=1)
    worth = (1 - correlation) / (1 + correlation)
    freedom = np.maximum((independent - cut) * worth, 1.0)
    return np.where(squares[:, 0] > _SMALLEST, variance, 0.0), freedom


def _squares(part: Floats) -> Floats:
    """Return the residual sum of squares about the weighted mean, [series, correlations], of one launch.

    The inverse of a first-order autoregression's correlation matrix has three diagonals, so that sums over
    values, over neighbours and over both ends are all that is needed.
    """
    of_values, of_ends = (part**2).sum(axis=1), part[:, 0] ** 2 + part[:, -1] ** 2
    of_neighbours = (part[:, 1:] * part[:, :-1]).sum(axis=1)
    total, ends = part.sum(axis=1), part[:, 0] + part[:, -1]
    r = CORRELATIONS
    squares = _outer(of_values, 1 + r**2) - _outer(of_ends, r**2) - _outer(of_neighbours, 2 * r)
    weighted: Floats = (_outer(total, 1 - r) + _outer(ends, r)) / (1 + r)
    residual: Floats = squares / (1 - r**2) - weighted**2 / _weight_of_mean(part.shape[1])
    return residual


def _outer(values: Floats, factors: Floats) -> Floats:
    product: Floats = values[:, None] * factors
    return product


def _weight_of_mean(count: int) -> Floats:
    """Return the sum of the inverse correlation matrix of `count` rounds, for each correlation."""
    weight: Floats = ((1 - CORRELATIONS) * count + 2 * CORRELATIONS) / (1 + CORRELATIONS)
    return weight


@lru_cache(maxsize=64)
def _mean_variance(count: int) -> Floats:
    """Return the variance of a mean of `count` rounds of variance 1, for each correlation."""
    lags = np.abs(np.subtract.outer(np.arange(count), np.arange(count)))
    variance: Floats = (CORRELATIONS[:, None, None] ** lags).sum(axis=(1, 2)) / count**2
    return variance


def _between(
    means: Floats, within: Sequence[float], known: Sequence[KnownVariance | None]
) -> list[tuple[Part, ...]]:
    """Return what launches add to the variance of each row's mean; nothing for one unknown launch.

    `means` is [series, launches], `within` the variance of one launch's mean by its rounds.
    """
    if means.shape[1] == 1:
        return [(each,) if each else () for each in known]
    seen = means.var(axis=1, ddof=1).tolist()
    return [(_pooled(*each, means.shape[1]),) for each in zip(seen, within, known, strict=True)]


def _pooled(seen: float, within: float, known: KnownVariance | None, count: int) -> Part:
    """Return the variance of the mean of `count` launches, whose means have the variance `seen`."""
    own = max(seen - within, 0.0)
    if known is None or seen > (known.variance + within) * _most_explained(count - 1, known.freedom):
        return Part(own / count, count - 1)
    pooled = known.freedom + count - 1
    return Part((known.freedom * known.variance + (count - 1) * own) / pooled / count, pooled)


@lru_cache(maxsize=64)
def _most_explained(launches: int, known: float) -> float:
    """Return the quantile of F beyond which launches are not explained, given both degrees of freedom."""
    from scipy.special import fdtri

    return float(fdtri(launches, known, _UNEXPLAINED))

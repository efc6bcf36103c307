"""Demand: how many requests arrive at each time of a day, as segments of constant rate.

--rate 1200                                   one segment
--requests-per-day 100M --peak-factor 3       24 hours of a day that is busiest once
--arrivals trace.csv                          a column of times, or times with numbers of requests
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.common.errors import DataError, UsageError

DAY_S = 86_400.0
_HOURS = 24
_LEAST = 1e-3
"""Of the shape of a day, so that it can be nearly flat."""

_BIN_S = 300.0
"""Length of the segments that a trace of single arrivals is counted in."""

_MOST_RATE = 1e9

_MOST_S = 366 * DAY_S
"""A longer trace has its times in another unit, such as milliseconds since 1970."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Requests per second, for a number of seconds."""

    rate: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Demand:
    """The segments of a day or of a trace, and what they are in words."""

    segments: tuple[Segment, ...]
    description: str

    @property
    def peak(self) -> float:
        """The highest rate of a segment, in requests per second."""
        return max(segment.rate for segment in self.segments)

    @property
    def seconds(self) -> float:
        """How long all segments last."""
        return sum(segment.seconds for segment in self.segments)

    @property
    def requests(self) -> float:
        """The requests of all segments."""
        return sum(segment.rate * segment.seconds for segment in self.segments)

    @property
    def per_day(self) -> float:
        """Requests in a day at the mean rate."""
        return self.requests / self.seconds * DAY_S


def constant_demand(rate: float) -> Demand:
    """Return a day at one rate; UsageError unless it is above 0."""
    if not 0 < rate <= _MOST_RATE:
        raise UsageError(
            f"--rate must be above 0 and at most {_MOST_RATE:g} requests a second, got {rate:g}.",
            remedy="Give --rate 1200.",
        )
    return Demand((Segment(rate, DAY_S),), f"{_number(rate)} requests a second, all day")


def daily_demand(requests: float, peak_factor: float = 1.0) -> Demand:
    """Return a day with one busiest hour, whose rate is `peak_factor` times the day's mean.

    The rate follows ((1 + cos) / 2)^k over the day; k makes the highest of 24 hours the factor. UsageError
    for no requests, or a factor below 1 or above 24, where all requests arrive in one hour.
    """
    if not 0 < requests <= _MOST_RATE * DAY_S:
        raise UsageError(
            f"--requests-per-day must be above 0 and at most {_MOST_RATE * DAY_S:g}, got {requests:g}.",
            remedy="Give 100M, for instance.",
        )
    if not 1 <= peak_factor <= _HOURS:
        raise UsageError(f"--peak-factor must be from 1 to {_HOURS}, got {peak_factor:g}.")
    shape = np.maximum((1 + np.cos(2 * np.pi * np.arange(_HOURS) / _HOURS)) / 2, _LEAST)
    low, high = 0.0, 10_000.0
    for _ in range(200):
        power = (low + high) / 2
        weights = shape**power
        low, high = (power, high) if weights.max() / weights.mean() < peak_factor else (low, power)
    rates = requests / DAY_S * weights / weights.mean()
    segments = tuple(Segment(float(rate), DAY_S / _HOURS) for rate in rates)
    busiest = "" if peak_factor == 1 else f", in the busiest hour {peak_factor:g} times the mean"
    return Demand(segments, f"{_number(requests)} requests a day{busiest}")


def traced_demand(times: Sequence[float], counts: Sequence[float] | None, where: str) -> Demand:
    """Return the demand of a trace.

    `times` are in seconds: of single arrivals, counted in bins of five minutes; or, with `counts`, the
    beginnings of intervals in which so many requests arrive, of which the last is as long as the one before.
    DataError for times that fall or span more than a year, a number that is not finite or negative, nothing
    that arrives, or more than 10^9 requests a second.
    """
    moments = np.asarray(times, dtype=np.float64)
    numbers = None if counts is None else np.asarray(counts, dtype=np.float64)
    _check_times(moments, where)
    segments = _binned(moments, where) if numbers is None else _counted(moments, numbers, where)
    if not any(segment.rate > 0 for segment in segments):
        raise DataError("no request arrives.", where=where, remedy="Name a trace with requests.")
    if max(segment.rate for segment in segments) > _MOST_RATE:
        raise DataError(
            f"more than {_MOST_RATE:g} requests a second arrive.",
            where=where,
            remedy="Give times in seconds.",
        )
    total = sum(segment.rate * segment.seconds for segment in segments)
    hours = sum(segment.seconds for segment in segments) / 3600
    return Demand(segments, f"{total:,.0f} requests of {where} in {hours:.3g} hours")


def _check_times(moments: np.ndarray, where: str) -> None:
    if not np.all(np.isfinite(moments)) or np.any(moments[1:] < moments[:-1]):
        raise DataError(
            "times must be finite and must not fall.", where=where, remedy="Sort the rows by time."
        )
    if len(moments) and moments[-1] / 2 - moments[0] / 2 > _MOST_S / 2:  # halves: a span may overflow
        raise DataError("the trace must span at most 366 days.", where=where, remedy="Give times in seconds.")


def _binned(moments: np.ndarray, where: str) -> tuple[Segment, ...]:
    if len(moments) < 2 or moments[-1] == moments[0]:  # noqa: PLR2004 -- a span needs two
        raise DataError("a trace needs two arrivals at different times.", where=where)
    span = float(moments[-1] - moments[0])
    bins = max(1, math.ceil(span / _BIN_S))
    counts, _ = np.histogram(moments, bins=bins)
    return tuple(Segment(float(count) / (span / bins), span / bins) for count in counts)


def _counted(moments: np.ndarray, numbers: np.ndarray, where: str) -> tuple[Segment, ...]:
    if len(moments) < 2 or np.any(np.diff(moments) == 0):  # noqa: PLR2004 -- an interval needs two
        raise DataError("a trace needs two rows or more, at different times.", where=where)
    if not np.all(np.isfinite(numbers)) or np.any(numbers < 0):
        raise DataError("numbers of requests must be finite and not negative.", where=where)
    lengths = np.diff(moments)
    lengths = np.append(lengths, lengths[-1])
    return tuple(
        Segment(number / length, length)
        for number, length in zip(numbers.tolist(), lengths.tolist(), strict=True)
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:g}"  # noqa: PLR2004 -- three digits

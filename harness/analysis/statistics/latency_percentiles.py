"""Percentiles of latency, from the examples of each window and the durations of its calls.

The scenario determines what the duration of a call is the latency of: one request in `single-stream` and
`server`, a whole batch in `batch`, nothing in `offline`. Records and their verification use the same
function.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import compress
from statistics import median

import numpy as np

from harness.analysis.statistics.estimates import (
    CONFIDENCE,
    MINIMUM_REQUESTS,
    PercentileFacts,
    percentile,
)
from harness.analysis.statistics.round_series import RoundSeries
from harness.analysis.statistics.variance.model import (
    Floats,
    KnownVariance,
    Location,
    location,
    locations,
)
from harness.records.estimate import Estimate, Unavailable
from harness.records.record import Record
from harness.workload.scenarios import get_scenario

PERCENTILES = (50, 90, 95, 99)


@dataclass(frozen=True, slots=True)
class TimedPass:
    """The examples of one pass by index, in order, and the nanoseconds of all calls of all passes."""

    examples: Sequence[int]
    call_ns: Sequence[int]


def percentiles(scenario: str, batch: int, windows: Iterable[TimedPass]) -> dict[str, PercentileFacts]:
    """Return the percentiles by name (`p50`, ...); empty where the duration of a call is not a latency.

    Repeats of an example, or of the same batch, do not count as further requests.
    """
    unit = get_scenario(scenario).latency
    size = batch if unit == "call" else 1
    timed = list(windows) if unit else []
    if not timed:
        return {}
    samples = [ns for window in timed for ns in whole_calls(window, size)]
    distinct = {tuple(call) for window in timed for call in _calls(window, size) if len(call) == size}
    return {f"p{p}": percentile(samples, p, distinct=len(distinct)) for p in PERCENTILES}


def whole_calls(window: TimedPass, size: int) -> list[int]:
    """Return the nanoseconds of the calls of `size` requests, without a smaller call at the end of a pass."""
    calls, whole = -(-len(window.examples) // size), len(window.examples) // size
    return [ns for index, ns in enumerate(window.call_ns) if index % calls < whole]


def call_medians(scenario: str, passes: int, call_ns: Sequence[int]) -> tuple[int, ...]:
    """Return the nanoseconds of each call of a slice: the median over the passes.

    Empty where calls overlap, and where one call holds the whole slice.
    """
    calls = len(call_ns) // passes
    if scenario not in ("single-stream", "batch") or calls < 2 or min(call_ns) < 1:  # noqa: PLR2004
        return ()
    return tuple(round(median(call_ns[index::calls])) for index in range(calls))


@dataclass(frozen=True, slots=True)
class SpeedReach:
    """How far a percentile may move with the speed of a whole round or launch: half the width of an interval.

    `half_width` is on the log scale; `covers` is what it holds, for the name of a method.
    """

    half_width: float
    covers: str


NO_ROUNDS = SpeedReach(0.0, "no rounds")
"""At an offered rate the time per request is that of arrivals: the speed of the system is not known."""


def speed_reaches(many: Sequence[RoundSeries]) -> list[SpeedReach]:
    """Return the reach of each record's speed, in their order: that of its time per request over rounds."""
    timed = [series.record.cell.scenario != "server" and not series.unusable for series in many]
    speeds = locations([(np.log(each.times), each.launches, each.known) for each in compress(many, timed)])
    reaches = (
        SpeedReach(width, f"{speeds.covers(at)} (t)")
        for at, width in enumerate(speeds.half_widths(CONFIDENCE))
    )
    return [next(reaches) if is_timed else NO_ROUNDS for is_timed in timed]


def percentile_estimate(record: Record, name: str, reach: SpeedReach | None = None) -> Estimate | Unavailable:
    """Return a percentile of a record in nanoseconds; its interval covers requests, rounds and launches.

    The interval of requests, by order statistics, takes them as independent draws. What makes a whole round
    or launch slower moves every percentile: that is the variance of the time per request (`reach`, if it is
    already computed), and both half-widths are added as those of independent parts, on the log scale.
    """
    latency = record.latency.get(name)
    if latency is None:
        return Unavailable("it was not measured per request")
    if latency.value_ns is None:
        units = "batches" if record.cell.scenario == "batch" else "requests"
        return Unavailable(
            f"{name} needs {latency.needed:,} distinct {units}, and there are {latency.have:,}"
        )
    value, speed = latency.value_ns, reach or speed_reaches([RoundSeries(record, record.rounds)])[0]
    below = math.hypot(_log_reach(value, latency.low_ns), speed.half_width)
    above = math.hypot(_log_reach(value, latency.high_ns), speed.half_width)
    method = _method(speed.covers)
    return Estimate(
        value, value * math.exp(-below), value * math.exp(above), CONFIDENCE, method, latency.have
    )


@lru_cache(maxsize=64)
def _method(covers: str) -> str:
    """Return the name of a method; thousands of estimates share the text."""
    return f"nearest rank; interval over requests (order statistics), {covers}"


def _log_reach(value: float, end: float | None) -> float:
    return math.log(end / value) if end and value else 0.0


def percentile_change(
    p: int,
    before: Sequence[Floats],
    after: Sequence[Floats],
    launches: Sequence[int],
    known: KnownVariance | None,
) -> Location:
    """Return the logarithm of how a percentile changed, from the times of the calls of paired rounds.

    Rounds that hold enough calls each give a change of their own; fewer calls are taken together, and a round
    counts by what it adds to the percentile of all.
    """
    if min(len(part) for part in (*before, *after)) >= MINIMUM_REQUESTS[p]:
        changes = [
            math.log(nearest_rank(p, new) / nearest_rank(p, old))
            for old, new in zip(before, after, strict=True)
        ]
        return location(changes, launches, known)
    (old, of_old), (new, of_new) = percentile_influences(p, before), percentile_influences(p, after)
    return replace(location(of_new - of_old, launches, known, trim=0.0), value=new - old)


def percentile_influences(p: int, rounds: Sequence[Floats]) -> tuple[float, Floats]:
    """Return the logarithm of a percentile of all calls, and that value moved by what each round adds to it.

    `rounds` holds the times of the calls of each round. A round adds its share of calls beyond the
    percentile, over the density there (R. Bahadur 1966), which is that between two other percentiles.
    """
    times = np.concatenate(rounds)
    value = nearest_rank(p, times)
    width = min(p, 100 - p) / 2
    below, above = (float(np.quantile(times, (p + shift) / 100)) for shift in (-width, width))
    slope = math.log(above / below) / (2 * width / 100)
    shares = np.array([float((part <= value).mean()) for part in rounds])
    weights = np.array([len(part) for part in rounds]) * len(rounds) / len(times)
    return math.log(value), math.log(value) - slope * weights * (shares - float((times <= value).mean()))


def nearest_rank(p: int, times: Floats) -> float:
    """Return the percentile as the sample of rank ceil(p n / 100), from 1."""
    rank = -(-p * len(times) // 100)
    return float(np.partition(times, rank - 1)[rank - 1])


def _calls(window: TimedPass, size: int) -> list[Sequence[int]]:
    return [window.examples[start : start + size] for start in range(0, len(window.examples), size)]

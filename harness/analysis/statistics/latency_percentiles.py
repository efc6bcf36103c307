"""Percentiles of latency, from what each window asked and how long each of its calls took.

Whose latency a call's time is depends on the scenario: one request's in `single-stream` and `server`, a whole
batch's in `batch`, nobody's in `offline`. The same function serves the record and whoever derives it again.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from harness.analysis.statistics.estimates import PercentileFacts, percentile
from harness.workload.scenarios import get_scenario

PERCENTILES = (50, 90, 95, 99)


@dataclass(frozen=True, slots=True)
class TimedPass:
    """The examples of one pass by index, in order, and the nanoseconds of all calls of all passes."""

    examples: Sequence[int]
    call_ns: Sequence[int]


def percentiles(scenario: str, batch: int, windows: Iterable[TimedPass]) -> dict[str, PercentileFacts]:
    """Return the percentiles by name (`p50`, ...); empty where a call's time is no latency.

    Repeats of an example, or of the same batch, are no further requests to count.
    """
    of = get_scenario(scenario).latency
    size = batch if of == "call" else 1
    found = list(windows) if of else []
    if not found:
        return {}
    samples = [ns for one in found for ns in whole_calls(one, size)]
    distinct = {tuple(call) for one in found for call in _calls(one, size) if len(call) == size}
    return {f"p{p}": percentile(samples, p, distinct=len(distinct)) for p in PERCENTILES}


def whole_calls(window: TimedPass, size: int) -> list[int]:
    """Return the nanoseconds of the calls of `size` requests; a smaller one that ends a pass is left out."""
    calls, whole = -(-len(window.examples) // size), len(window.examples) // size
    return [ns for at, ns in enumerate(window.call_ns) if at % calls < whole]


def call_medians(scenario: str, passes: int, call_ns: Sequence[int]) -> tuple[int, ...]:
    """Return the nanoseconds of each call of a slice, the median over so many passes.

    Empty where one call does not follow the other, and where a call is the whole slice.
    """
    calls = len(call_ns) // passes
    if scenario not in ("single-stream", "batch") or calls < 2 or min(call_ns) < 1:  # noqa: PLR2004
        return ()
    return tuple(round(median(call_ns[at::calls])) for at in range(calls))


def _calls(window: TimedPass, size: int) -> list[Sequence[int]]:
    return [window.examples[start : start + size] for start in range(0, len(window.examples), size)]

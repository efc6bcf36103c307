"""Percentiles of latency, from the examples of each window and the durations of its calls.

The scenario determines what the duration of a call is the latency of: one request in `single-stream` and
`server`, a whole batch in `batch`, nothing in `offline`. Records and their verification use the same
function.
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


def _calls(window: TimedPass, size: int) -> list[Sequence[int]]:
    return [window.examples[start : start + size] for start in range(0, len(window.examples), size)]

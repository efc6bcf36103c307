"""From thousands of series to intervals, side by side: logarithms before `locations`, and ends after it.

    series --on_log_scale--> arrays --locations--> Locations --ends_of--> (value, low, high) of each

Arrays of all series are joined, computed on at once, and split again: a call of numpy costs as much for one
record as for thousands.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate

import numpy as np

from harness.analysis.statistics.variance.model import Floats, Locations

WIDEST = math.log(1e9)
"""Half the width of an interval, as a logarithm, beyond which it is shown as this: it says nothing anyway."""


def joined_logs(many: Sequence[Sequence[float] | Floats]) -> list[Floats]:
    """Return the logarithms of each series of positive numbers."""
    if not many:
        return []
    ends = list(accumulate(len(values) for values in many))
    return split_at(np.log(np.concatenate(many, dtype=np.float64)), ends)


def on_log_scale(many: Sequence[Sequence[float] | Floats]) -> tuple[list[Floats], list[bool]]:
    """Return the logarithms of each series whose values are all positive, and the others as they are."""
    if not many:
        return [], []
    lengths = [len(values) for values in many]
    ends = list(accumulate(lengths))
    joined = np.concatenate(many, dtype=np.float64)
    positive = np.minimum.reduceat(joined, [0, *ends[:-1]]) > 0
    logged = np.repeat(positive, lengths)
    joined[logged] = np.log(joined[logged])
    return split_at(joined, ends), positive.tolist()


def split_at(joined: Floats, ends: Sequence[int]) -> list[Floats]:
    """Return the parts of an array that end at these places; `np.split` takes ten times as long."""
    return [joined[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def ends_of(
    many: Locations, log_scales: Sequence[bool], confidence: float
) -> list[tuple[float, float, float]]:
    """Return the value of each location, and both ends of its interval; `log_scales` tells logarithms."""
    widths = many.half_widths(confidence)
    return [ends_around(*each) for each in zip(many.values, widths, log_scales, strict=True)]


def ends_around(middle: float, half_width: float, log_scale: bool) -> tuple[float, float, float]:
    """Return the value and both ends of an interval of this half-width, on the log scale or not."""
    if not log_scale:
        return middle, max(middle - half_width, 0.0), middle + half_width
    reach = min(half_width, WIDEST)
    return math.exp(middle), math.exp(middle - reach), math.exp(middle + reach)


@lru_cache(maxsize=64)
def method_over(what: str, covers: str, further: str = "") -> str:
    """Return the name of a method; thousands of estimates share the text."""
    return ", ".join(filter(None, (f"trimmed mean of {what}", f"t interval over {covers}", further)))


def widened_method(what: str, covers: str) -> str:
    """Return the name of a method whose interval has the meter's resolution in it."""
    return method_over(what, covers, "widened by the meter's resolution")

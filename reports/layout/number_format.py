"""Numbers as people read them: at most three significant digits, and no digit finer than the interval allows.

Units are chosen per column, so that numbers below one another can be compared; the heading names them.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

_DIGITS = 3
_INTERVAL_DIGITS = 2
"""Half the interval's width keeps two significant digits: the value is shown no finer than those."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit's name and how many base units it holds."""

    name: str
    size: float


TIMES = (Unit("s", 1e9), Unit("ms", 1e6), Unit("us", 1e3), Unit("ns", 1.0))
"""Over nanoseconds."""

ENERGIES = (Unit("J", 1e6), Unit("mJ", 1e3), Unit("uJ", 1.0))
"""Over microjoules."""

COUNTS = (Unit("", 1.0),)

MEMORIES = (Unit("GiB", 2.0**30), Unit("MiB", 2.0**20), Unit("KiB", 2.0**10))
"""Over bytes."""


def unit_for(values: Sequence[float], units: Sequence[Unit]) -> Unit:
    """Return the largest unit that the median of the values fills, or the smallest there is."""
    if not values:
        return units[0]
    middle = abs(statistics.median(values))
    return next((unit for unit in units if middle >= unit.size), units[-1])


def decimals(value: float, low: float | None = None, high: float | None = None) -> int:
    """Return how many decimal places to show; negative places round to tens, hundreds, ...

    ValueError for what is not a finite number: absence has a word of its own.
    """
    if not all(map(math.isfinite, [number for number in (value, low, high) if number is not None])):
        raise ValueError(f"not a finite number: {value} [{low}, {high}]")
    own = _places(value, _DIGITS)
    if low is None or high is None or high <= low:
        return own
    return (
        min(own, _places((high - low) / 2, _INTERVAL_DIGITS))
        if value
        else _places(high - low, _INTERVAL_DIGITS)
    )


def fixed(number: float, places: int) -> str:
    """Return a number with that many decimals, thousands separated, never in exponent notation."""
    if places >= 0 and number > 0:
        return f"{number:,.{places}f}"
    rounded = round(number, places) + 0.0  # adding zero turns -0.0 into 0.0
    return f"{rounded:,.{max(places, 0)}f}"


def shown(value: float) -> str:
    """Return a number without an interval."""
    return fixed(value, decimals(value))


def with_interval(value: float, low: float, high: float, *, finest: int | None = None) -> tuple[str, str]:
    """Return a number and its interval, `5.41` and `[5.32, 5.50]`, with equal decimals, at most `finest`."""
    places = decimals(value, low, high)
    places = places if finest is None else min(places, finest)
    return fixed(value, places), f"[{fixed(low, places)}, {fixed(high, places)}]"


def _places(number: float, digits: int) -> int:
    """Return the decimals that show so many significant digits; rounding may add one: 9.996 is 10.0."""
    if not number:
        return 0
    places = digits - 1 - math.floor(math.log10(abs(number)))
    rounded = round(abs(number), places)
    return digits - 1 - math.floor(math.log10(rounded)) if rounded else places

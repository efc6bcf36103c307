"""Warm-up: a system is warm when the same requests, repeated, take the same time.

    window 0        window 1        window 2   ...       up to a maximum
    r0 r1 .. r15    r0 r1 .. r15    r0 r1 .. r15
    first time      repeated

Each window repeats the requests of the previous one, so each request is compared with itself; the median over
requests tolerates a few that were disturbed. Two windows may differ by `TOLERANCE` and count as steady. The
number of windows is limited, or a noisy machine would never be measured.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from harness.common.json_types import JsonObject

TOLERANCE = 0.03
"""Two windows agree if the times of the median request differ by at most this share."""

Shape = tuple[int, ...]
"""The lengths of a call's sequences, which determine what an engine compiles and allocates."""


@dataclass(frozen=True, slots=True)
class WarmupResult:
    """The windows of a warm-up.

    `window_ns` holds the nanoseconds of each call, window by window. `steady` is whether the last two agreed,
    or None if a fixed number of windows was requested.
    """

    window_ns: tuple[tuple[int, ...], ...]
    steady: bool | None


def warm_up(
    run_window: Callable[[], tuple[int, ...]], windows: int, *, exactly: bool = False
) -> WarmupResult:
    """Run windows until two in a row agree, at most `windows`; with `exactly`, always that many.

    `run_window` runs one window and returns the nanoseconds of each of its calls.
    """
    window_ns: list[tuple[int, ...]] = []
    while len(window_ns) < windows:
        window_ns.append(run_window())
        if not exactly and len(window_ns) > 1 and agree(window_ns[-2], window_ns[-1]):
            return WarmupResult(tuple(window_ns), steady=True)
    return WarmupResult(tuple(window_ns), steady=None if exactly else False)


def agree(before: Sequence[int], after: Sequence[int], tolerance: float = TOLERANCE) -> bool:
    """Return whether the median ratio of each call's two times is within the tolerance of 1."""
    ratios = [later / earlier for earlier, later in zip(before, after, strict=True) if earlier > 0]
    return bool(ratios) and 1 / (1 + tolerance) <= median(ratios) <= 1 + tolerance


def first_length_costs(shapes: Sequence[Shape], window_ns: Sequence[Sequence[int]]) -> JsonObject:
    """Return the time of a call with a new length, and of the same call when it is repeated.

    Both are medians in nanoseconds, over the calls of the first window whose shape is new in it. The very
    first call is left out, as it pays for more than its length. The repetition is that of the second window.
    Empty if there are fewer than two windows, or no second length.
    """
    if len(window_ns) < 2:  # noqa: PLR2004 -- the first time, and its repetition
        return {}
    new = [index for index, shape in enumerate(shapes) if index and shape not in shapes[:index]]
    if not new:
        return {}
    first, repeat = (median(window_ns[window][index] for index in new) for window in (0, 1))
    return {"lengths": len(new), "first_length_ns": round(first), "repeat_length_ns": round(repeat)}

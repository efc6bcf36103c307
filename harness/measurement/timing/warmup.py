"""When a system is warm: the same requests, asked again and again, take the same time.

    window 0        window 1        window 2   ...       at most so many
    r0 r1 .. r15    r0 r1 .. r15    r0 r1 .. r15
    first seen      repeated

A window asks the same requests as the one before, so each request is compared with itself; the median over
requests forgives the odd one that was disturbed. Time between two windows may drift by `TOLERANCE` and count
as steady. A rule that converges needs a cap, or a noisy machine would never be measured.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

TOLERANCE = 0.03
"""Two windows agree if the median request took as long in both, within this share."""

Shape = tuple[int, ...]
"""The lengths of a call's sequences: what an engine that compiles or allocates by shape goes by."""


@dataclass(frozen=True, slots=True)
class WarmupResult:
    """How a system became warm; `window_ns` holds the nanoseconds of each call, window by window."""

    window_ns: tuple[tuple[int, ...], ...]
    steady: bool | None
    """None where nobody looked: a set number of windows was asked for."""


def warm_up(ask: Callable[[], tuple[int, ...]], windows: int, *, exactly: bool = False) -> WarmupResult:
    """Ask window after window until two in a row agree, at most `windows`, or `exactly` so many.

    `ask` answers one window and returns the nanoseconds of each of its calls.
    """
    seen: list[tuple[int, ...]] = []
    while len(seen) < windows:
        seen.append(ask())
        if not exactly and len(seen) > 1 and agree(seen[-2], seen[-1]):
            return WarmupResult(tuple(seen), steady=True)
    return WarmupResult(tuple(seen), steady=None if exactly else False)


def agree(before: Sequence[int], after: Sequence[int], tolerance: float = TOLERANCE) -> bool:
    """Say whether the median of the ratios of each call's two times is within the tolerance of 1."""
    ratios = [later / earlier for earlier, later in zip(before, after, strict=True) if earlier > 0]
    return bool(ratios) and 1 / (1 + tolerance) <= median(ratios) <= 1 + tolerance


def first_length_costs(shapes: Sequence[Shape], window_ns: Sequence[Sequence[int]]) -> dict[str, Any]:
    """Return what a call of a length not seen before takes, and what the same call takes when repeated.

    Both are medians in nanoseconds over the calls of the first window whose shape is new in it; the very
    first call, which pays for more than its length, is not among them. The repeat is the second window's.
    Empty where there are fewer than two windows, or no second length.
    """
    if len(window_ns) < 2:  # noqa: PLR2004 -- one to see first, one to repeat
        return {}
    new = [at for at, shape in enumerate(shapes) if at and shape not in shapes[:at]]
    if not new:
        return {}
    first, again = (median(window_ns[which][at] for at in new) for which in (0, 1))
    return {"lengths": len(new), "first_length_ns": round(first), "repeat_length_ns": round(again)}

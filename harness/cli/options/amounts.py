"""Ages and sizes as people write and read them: `30d`, `5GB`; `3 d ago`, `13.2 MB`."""

import re
from collections.abc import Mapping

from harness.common.errors import UsageError

_AGES = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_SIZES = {"b": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12}
_BINARY_SIZES = {"kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}
_AMOUNT = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)")


def seconds_of(words: str, option: str) -> float:
    """Return the seconds of `30d`; UsageError names the units."""
    return _amount(words, _AGES, option, "30d")


def bytes_of(words: str, option: str) -> int:
    """Return the bytes of `5GB`, which is 5e9, or of `5GiB`; UsageError names the units."""
    return round(_amount(words, {**_SIZES, **_BINARY_SIZES}, option, "5GB"))


def share_of(words: str, option: str) -> float:
    """Return 0.02 of `2%` or `0.02`; UsageError for what is no share above 0 and below 1."""
    text = words.strip()
    try:
        found = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        found = 0.0
    if not 0 < found < 1:
        raise UsageError(f"{option} {words!r} is no share.", remedy="Write 2% or 0.02 for instance.")
    return found


def age(seconds: float) -> str:
    """Return how long ago something was, in the largest unit that it fills; clocks that went back say now."""
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit} ago"
    return "now"


def size(count: int) -> str:
    """Return bytes in decimal units, as disks are sold."""
    for unit, each in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= each:
            return f"{count / each:.1f} {unit}"
    return f"{count} B"


def _amount(words: str, units: Mapping[str, float], option: str, example: str) -> float:
    found = _AMOUNT.fullmatch(words.strip().lower())
    if found is None or found[2] not in units:
        raise UsageError(
            f"{option} {words!r} is no amount.",
            remedy=f"Write {example} for instance; units: {', '.join(units)}.",
        )
    return float(found[1]) * units[found[2]]

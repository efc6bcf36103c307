"""Durations, sizes and shares as people write and read them: `30d`, `5GB`, `2%`; `3 d ago`, `13.2 MB`."""

import re
from collections.abc import Mapping

from harness.common.errors import UsageError

_DURATIONS = {"ms": 1e-3, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_SIZES = {"b": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12}
_BINARY_SIZES = {"kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}
_AMOUNT = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)")


def split_names(text: str | None) -> tuple[str, ...]:
    """Return the names of a comma-separated option."""
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


def named(text: str, option: str) -> tuple[str, ...]:
    """Return the names of a comma-separated option that was given; UsageError if it names nothing."""
    names = split_names(text)
    if not names:
        raise UsageError(
            f"expected a name, got {text!r}.", where=option, remedy="Name one, or leave the option out."
        )
    return names


def parse_duration(text: str, option: str, example: str = "30d") -> float:
    """Return the seconds of `30d`; UsageError names the units."""
    return _parse_amount(text, _DURATIONS, option, example)


def parse_size(text: str, option: str) -> int:
    """Return the bytes of `5GB`, which is 5e9, or of `5GiB`; UsageError names the units."""
    return round(_parse_amount(text, {**_SIZES, **_BINARY_SIZES}, option, "5GB"))


def parse_share(text: str, option: str) -> float:
    """Return 0.02 of `2%` or `0.02`; UsageError unless it is above 0 and below 1."""
    stripped = text.strip()
    try:
        share = float(stripped.removesuffix("%")) / (100 if stripped.endswith("%") else 1)
    except ValueError:
        share = 0.0
    if not 0 < share < 1:
        raise UsageError(
            f"{option} must be a share above 0 and below 1, got {text!r}.", remedy="For example 2% or 0.02."
        )
    return share


def format_age(seconds: float) -> str:
    """Return how long ago something was, in the largest unit that it fills; `now` below a minute."""
    for unit, unit_seconds in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= unit_seconds:
            return f"{seconds / unit_seconds:.0f} {unit} ago"
    return "now"


def format_time(seconds: float) -> str:
    """Return a time in the largest unit of which there are two."""
    for unit, unit_seconds in (("h", 3600), ("min", 60)):
        if seconds >= 2 * unit_seconds:
            return f"{seconds / unit_seconds:.1f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 1 else "1 s"


def format_size(count: int) -> str:
    """Return bytes in decimal units, as disks are sold."""
    for unit, unit_bytes in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= unit_bytes:
            return f"{count / unit_bytes:.1f} {unit}"
    return f"{count} B"


def plural(count: int, noun: str) -> str:
    """Return `1 run` or `3 runs`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _parse_amount(text: str, units: Mapping[str, float], option: str, example: str) -> float:
    match = _AMOUNT.fullmatch(text.strip().lower())
    if match is None or match[2] not in units:
        raise UsageError(
            f"{option} must be a number with a unit, got {text!r}.",
            remedy=f"For example {example}; units: {', '.join(units)}.",
        )
    return float(match[1]) * units[match[2]]

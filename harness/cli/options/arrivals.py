"""Options about how requests arrive, and for how long at least each window lasts."""

import re
from typing import Annotated, TypedDict

import typer

from harness.common.errors import UsageError


class Load(TypedDict):
    """The fields of `RunOptions` that say so."""

    batches: tuple[int, ...]
    rates: tuple[float, ...]
    slo: str
    window_ms: int | None


BatchSizes = Annotated[
    str,
    typer.Option(
        "--batch",
        metavar="N,...",
        help="Requests a call, in scenario batch; in offline how many are answered together.",
    ),
]
Rates = Annotated[
    str, typer.Option("--rate", metavar="R,...", help="Requests per second that arrive, in scenario server.")
]
Promised = Annotated[
    str,
    typer.Option(
        "--slo", metavar="p99=20ms", help="In scenario server: find the highest rate that keeps this promise."
    ),
]
Window = Annotated[
    str | None,
    typer.Option("--window", metavar="TIME", help="Least length of a window, instead of the profile's."),
]

_TIME = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s)")


def load_of(batch: str, rate: str, slo: str, window: str | None) -> Load:
    """Return what is asked of batches, rates and windows; UsageError for what is no number."""
    return {
        "batches": tuple(map(int, _numbers("--batch", batch, r"\d+"))),
        "rates": tuple(map(float, _numbers("--rate", rate, r"\d+(\.\d+)?"))),
        "slo": slo,
        "window_ms": None if window is None else _milliseconds(window),
    }


def _numbers(option: str, words: str, form: str) -> list[str]:
    found = [word.strip() for word in words.split(",") if word.strip()]
    wrong = [word for word in found if not re.fullmatch(form, word)]
    if wrong:
        raise UsageError(f"{option} {wrong[0]!r} is no number.", remedy=f"Write {option} 8, or 8,32.")
    return found


def _milliseconds(words: str) -> int:
    found = _TIME.fullmatch(words.strip())
    if not found:
        raise UsageError(f"--window {words!r} is no time.", remedy="Write 250ms or 2s for instance.")
    return round(float(found[1]) * (1000 if found[2] == "s" else 1))

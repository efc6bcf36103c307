"""How many requests `bench plan` plans for: a rate, a day with a busiest hour, or a trace of arrivals."""

import csv
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from harness.cli.options.groups import OptionGroup
from harness.cli.options.panels import amount_option
from harness.common.errors import DataError, UsageError

if TYPE_CHECKING:
    from harness.analysis.capacity.demand import Demand

_SUFFIXES = {"k": 1e3, "M": 1e6, "G": 1e9, "B": 1e9}
_TIMES, _COUNTS = "seconds", "requests"
_THOUSANDS = re.compile(r"\d{1,3}(,\d{3})+(\.\d*)?")
_SHOWN = 80


class DemandOptions(OptionGroup):
    """How many requests arrive."""

    rate: Annotated[float | None, amount_option("--rate N", "Requests per second, all day.")] = None
    requests_per_day: Annotated[
        str | None, amount_option("--requests-per-day N", "Requests of a day: 100M, 2.5k or 5000.")
    ] = None
    peak_factor: Annotated[
        float | None,
        amount_option("--peak-factor F", "Rate of the busiest hour over the mean (default: 1)."),
    ] = None
    arrivals: Annotated[
        Path | None,
        amount_option("--arrivals FILE", "Trace, CSV: column seconds, alone or with requests."),
    ] = None

    def demand(self) -> "Demand":
        """Return the demand; UsageError unless it is given in exactly one way."""
        from harness.analysis.capacity.demand import constant_demand, daily_demand

        given = [value is not None for value in (self.rate, self.requests_per_day, self.arrivals)]
        if sum(given) != 1:
            raise UsageError(
                "expected one of --rate, --requests-per-day and --arrivals, got "
                f"{'none' if not any(given) else 'several'}.",
                remedy="For instance: --requests-per-day 100M --peak-factor 3.",
            )
        if self.peak_factor is not None and self.requests_per_day is None:
            raise UsageError("--peak-factor belongs to --requests-per-day.", remedy="Leave it out.")
        if self.rate is not None:
            return constant_demand(self.rate)
        if self.requests_per_day is not None:
            factor = 1.0 if self.peak_factor is None else self.peak_factor
            return daily_demand(_amount(self.requests_per_day), factor)
        return read_trace(self.arrivals or Path())


def read_trace(path: Path) -> "Demand":
    """Return the demand of a trace, CSV; DataError with the line for anything else."""
    from harness.analysis.capacity.demand import traced_demand
    from harness.common.inputs.files import TRACE, InvalidText, decode_text, read_input

    content = read_input(path, TRACE, DataError, remedy="--arrivals names a CSV file.")
    try:
        reader = csv.reader(io.StringIO(decode_text(content, "utf-8-sig"), newline=""))
        columns = [name.strip() for name in next(reader, [])]
        lines = [(reader.line_num, row) for row in reader if row]
    except (InvalidText, csv.Error) as problem:
        raise DataError(
            f"not CSV ({problem}).", where=str(path), remedy="--arrivals names a CSV file."
        ) from None
    if sorted(columns) not in ([_TIMES], sorted([_TIMES, _COUNTS])):
        raise DataError(
            f"the columns of a trace are {_TIMES}, or {_TIMES} and {_COUNTS}, got {_shortened(columns)}.",
            where=str(path),
            remedy=f"Write {_TIMES}, or {_TIMES},{_COUNTS}, in the first line, and leave out other columns.",
        )
    rows = [_numbers(row, columns, f"{path}:{number}") for number, row in lines]
    counts = [row[_COUNTS] for row in rows] if _COUNTS in columns else None
    return traced_demand([row[_TIMES] for row in rows], counts, path.name)


def _shortened(columns: list[str]) -> str:
    """Return the names of columns, or that there are none. A file that is no table may have a long line."""
    text = ", ".join(columns)
    return f"{text[:_SHOWN]}..." if len(text) > _SHOWN else text or "none"


def _amount(text: str) -> float:
    """Return 1e8 of `100M`; UsageError for anything else."""
    stripped = text.strip().replace("_", "")
    factor = _SUFFIXES.get(stripped[-1:], 1.0)
    number = stripped[:-1] if stripped[-1:] in _SUFFIXES else stripped
    try:
        return float(number.replace(",", "") if _THOUSANDS.fullmatch(number) else number) * factor
    except ValueError:
        raise UsageError(
            f"--requests-per-day expects a number such as 100M, 2.5k or 5,000, got {text!r}.",
            remedy="Use k, M or G, and a point before decimals.",
        ) from None


def _numbers(row: list[str], columns: list[str], where: str) -> dict[str, float]:
    """Return the numbers of a row by column; DataError for another number of cells, or what is no number."""
    if len(row) != len(columns):
        raise DataError(f"expected {len(columns)} cells ({', '.join(columns)}), got {len(row)}.", where=where)
    numbers = {}
    for column, cell in zip(columns, row, strict=True):
        try:
            numbers[column] = float(cell)
        except ValueError:
            raise DataError(f"expected a number in column {column}, got {cell!r}.", where=where) from None
    return numbers

"""Reports for stdout: as wide as the terminal, and coloured only in one."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.cli.output.terminal import terminal_columns

if TYPE_CHECKING:
    from harness.analysis.verdict import ExportPaths
    from harness.records.record import Record
    from harness.records.store import RunFolder
    from harness.workload.tasks.metrics import Counts
    from reports import SamplesOf

CountsOf = Callable[["Record"], "Counts | None"]


def render_report(
    records: "Sequence[Record]",
    form: str,
    *,
    plain: bool = False,
    price: float | None = None,
    counts: CountsOf | None = None,
    footer: Sequence[str] = (),
    permitted: float | None = None,
    paths: "Mapping[str, ExportPaths] | None" = None,
) -> str:
    """Return the report in this format; `plain` leaves out colour, for files.

    `price`, in USD per hour, is for ladders. `counts` pair changes of quality by example. `footer` are lines
    between tables and verdicts; `permitted` and `paths` are those of `reports.VerdictOptions`.
    """
    from reports import CostFactors, Style, VerdictOptions, build_report, price_of, write_report

    width, color = terminal_style(plain=plain)
    options = VerdictOptions(permitted, paths=paths or {})
    report = build_report(records, CostFactors((price_of(price),)), counts, options)
    return write_report(report, form, Style(width=width, color=color, footer=tuple(footer))).rstrip("\n")


def terminal_style(*, plain: bool = False) -> tuple[int, bool]:
    """Return the number of columns and whether to use colour; `plain` is for files."""
    from reports.render.terminal import wants_color

    color = not plain and wants_color(sys.stdout, os.environ)
    return terminal_columns(), color


def counts_in(folders: "Sequence[RunFolder]") -> CountsOf:
    """Return a function that reads the counts of a record's scores from its samples.

    It returns None where the samples lack them or are missing: changes of quality are unpaired then.
    """
    samples = samples_in(folders)

    def counts(record: "Record") -> "Counts | None":
        return (samples(record) or {}).get("counts")

    return counts


def samples_in(folders: "Sequence[RunFolder]") -> "SamplesOf":
    """Return a function that reads a record's samples; None where they are missing or not as sealed."""
    from harness.common.errors import StoreError
    from harness.records.store import read_samples

    paths = {folder.name: folder.path for folder in folders}

    def samples(record: "Record") -> "Mapping[str, Any] | None":
        if record.run not in paths:
            return None
        try:
            return read_samples(paths[record.run], record)
        except StoreError:
            return None  # the report states what it lacks

    return samples

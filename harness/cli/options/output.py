"""The options under `Output`: the store, files, formats, JSON, progress, prices."""

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.options.groups import OptionGroup
from harness.cli.options.panels import output_option

_MOST_POINTS = 100


def check_points(points: float | None) -> float | None:
    """Return points of quality; BadParameter unless they are between 0 and 100."""
    if points is not None and not 0 <= points <= _MOST_POINTS:
        raise typer.BadParameter(f"must be between 0 and 100 points, got {points:g}.")
    return points


Json = Annotated[bool, output_option("--json", "Print JSON, and nothing else, on stdout.")]
Quiet = Annotated[bool, output_option("--quiet -q", "Show no progress.")]
StoreFolder = Annotated[
    Path | None, output_option("--store DIR", "Folder of records (default: BENCH_STORE or ./results).")
]
Where = Annotated[
    str | None,
    output_option(
        "--where SQL", "Only groups with a cell that fulfils a condition on `cells` (docs/howto/query.md)."
    ),
]
OutputFile = Annotated[
    Path | None, output_option("--output -o FILE", "Write to this file instead of stdout.")
]
OutputFolder = Annotated[Path, output_option("--output -o DIR", "Folder to write to.")]
PlotFolder = Annotated[
    Path | None, output_option("--plots DIR", "Draw plots into this folder: SVG, PNG and their data.")
]
Price = Annotated[
    float | None,
    output_option("--price-per-hour USD", "Price of the machine per hour (default: the paper's).", min=0.0),
]
MaxQualityLoss = Annotated[
    float | None,
    output_option(
        "--max-quality-loss POINTS",
        "Verdict: points of quality that the fastest variant may lose (default: 1).",
        callback=check_points,
    ),
]


class Output(OptionGroup):
    """What is printed."""

    json: Json = False
    quiet: Quiet = False


class RecordOutput(Output):
    """Where records are written, and what is printed."""

    store: StoreFolder = None

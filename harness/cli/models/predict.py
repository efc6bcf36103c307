"""`bench predict`: write the official prediction file of one variant."""

from dataclasses import replace
from typing import Annotated

import typer

from harness.cli.context import CliContext
from harness.cli.options.data import PredictedData
from harness.cli.options.execution import EncodingOptions
from harness.cli.options.groups import run_options
from harness.cli.options.output import Output, OutputFolder
from harness.cli.options.panels import what_option
from harness.cli.options.selection import ModelOptions
from harness.cli.output.terminal import print_json


def predict(
    context: CliContext,
    data: PredictedData,
    model: ModelOptions,
    encoding: EncodingOptions,
    output: Output,
    folder: OutputFolder,
    variant: Annotated[str, what_option("--variant NAME", "Variant that predicts.")] = "onnx-fp32",
) -> None:
    """Predict a split, and write the official prediction file."""
    from harness.cli.output.progress import progress_reporter
    from harness.runs.planning.variant_words import single_variant
    from harness.runs.predict import predict as predict_split
    from harness.runs.predict import write_rows
    from harness.workload.tasks import task_folder

    options = replace(run_options(data, model, encoding), variants=single_variant(variant))
    with progress_reporter(quiet=output.quiet) as progress:
        rows = predict_split(options, context.catalog(), context.cache(), context.machine(), progress)
    path = folder / f"{task_folder(data.task)}.jsonl"
    write_rows(rows, path)
    if output.json:
        print_json({"file": str(path), "rows": len(rows)}, indent=None)
    else:
        typer.echo(f"{len(rows):,} rows: {path}")

"""`bench predict`: write the official prediction file of one variant."""

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.context import CliContext
from harness.cli.options.common import (
    DataFolder,
    DeviceName,
    HeldOut,
    Json,
    LabelColumn,
    LabelNames,
    MaxLength,
    MetricName,
    ModelName,
    PredictedSplit,
    Quiet,
    TaskName,
    TextColumns,
    Threads,
    own_data,
    predicted_split,
)


def predict(
    context: typer.Context,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Where BoolQ.jsonl and so on go.")
    ],
    task: TaskName = "boolq",
    data: DataFolder = None,
    text: TextColumns = None,
    label: LabelColumn = None,
    metric: MetricName = None,
    labels: LabelNames = None,
    held_out: HeldOut = None,
    split: PredictedSplit = None,
    model: ModelName = "embedded",
    variant: Annotated[str, typer.Option(help="Who answers.")] = "onnx-fp32",
    device: DeviceName = "cpu",
    threads: Threads = None,
    max_length: MaxLength = 256,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Answer a whole split with one variant, and write the official prediction file."""
    from harness.cli.output.progress import narrator
    from harness.runs.planning.options import RunOptions
    from harness.runs.predict import predict as answered
    from harness.runs.predict import write_rows

    toolbox: CliContext = context.obj
    wanted = RunOptions(
        task=task,
        data=data,
        own=own_data(text, label, metric, labels, held_out),
        split=predicted_split(split, data),
        model=model,
        device=device,
        variants=(variant,),
        threads=threads,
        max_length=max_length,
    )
    from harness.workload.tasks import task_folder

    with narrator(quiet=quiet) as told:
        rows = answered(wanted, toolbox.catalog(), toolbox.cache(), toolbox.machine(), told)
    path = output / f"{task_folder(task)}.jsonl"
    write_rows(rows, path)
    _show(path, len(rows), json=json)


def _show(path: Path, rows: int, *, json: bool) -> None:
    import json as encoder

    facts = {"file": str(path), "rows": rows}
    typer.echo(encoder.dumps(facts) if json else f"{rows:,} rows: {path}")

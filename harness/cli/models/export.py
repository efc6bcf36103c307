"""`bench export`: hand a variant over as a folder that serves it without this project."""

from pathlib import Path
from typing import Annotated, Any

import typer

from harness.cli.context import CliContext
from harness.cli.measure.ladder import Parameters, ladder_named
from harness.cli.options.common import (
    DataFolder,
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


def export(
    context: typer.Context,
    variant: Annotated[
        str,
        typer.Argument(
            help="Who is handed over: an onnx-* variant, or with --ladder a rung.", show_default=False
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="The folder that is written: a new one.")
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
    ladder: Annotated[
        str | None,
        typer.Option("--ladder", metavar="NAME|FILE", help="The ladder that VARIANT is a rung of."),
    ] = None,
    parameter: Parameters = None,
    threads: Threads = None,
    max_length: MaxLength = 256,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write model, tokenizer, settings, licences and a serving script, checked to give the same answers."""
    from harness.cli.output.progress import narrator
    from harness.runs.export import export as exported
    from harness.runs.planning.options import RunOptions

    toolbox: CliContext = context.obj
    catalog = toolbox.catalog()
    wanted = RunOptions(
        task=task,
        data=data,
        own=own_data(text, label, metric, labels, held_out),
        split=predicted_split(split, data),
        model=model,
        variants=None if ladder else (variant,),
        ladder=ladder_named(ladder, variant, parameter, catalog) if ladder else None,
        threads=threads,
        max_length=max_length,
    )
    with narrator(quiet=quiet) as told:
        facts = exported(wanted, output, catalog, toolbox.cache(), toolbox.machine(), told)
    _show(facts, output, json=json)


def _show(facts: dict[str, Any], output: Path, *, json: bool) -> None:
    import json as encoder

    from harness.cli.options.amounts import size

    if json:
        typer.echo(encoder.dumps({"folder": str(output), **facts}, indent=1))
        return
    check, count = facts["check"], sum(one["bytes"] for one in facts["files"].values())
    typer.echo(f"{facts['variant']} of {facts['model']['name']} for {facts['task']}, {size(count)}: {output}")
    typer.echo(
        f"Checked: serve.py gives the system's answers to {check['requests']} requests; "
        f"the largest difference of a logit is {check['max_logit_difference']:.2g}."
    )
    typer.echo(f"How to serve it: {output / 'README.md'}; under which terms: {output / 'LICENSES.md'}")

"""`bench predict`: write the official prediction file of one variant."""

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.toolbox import Toolbox


def predict(
    context: typer.Context,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Where BoolQ.jsonl and so on go.")
    ],
    task: Annotated[
        str, typer.Option(help="What is asked: boolq, cb or rte.", envvar="BENCH_TASK")
    ] = "boolq",
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Data in the official SuperGLUE layout (default: embedded).",
            envvar="BENCH_DATA",
        ),
    ] = None,
    split: Annotated[str, typer.Option(help="The split that is answered.")] = "test",
    model: Annotated[
        str, typer.Option(help="embedded, a checkpoint folder, or a hub name.", envvar="BENCH_MODEL")
    ] = "embedded",
    variant: Annotated[str, typer.Option(help="Who answers.")] = "onnx-fp32",
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.", envvar="BENCH_DEVICE")] = "cpu",
    threads: Annotated[
        int | None, typer.Option(help="Threads (default: the physical cores of this process).")
    ] = None,
    max_length: Annotated[int, typer.Option(help="Longest sequence in tokens.")] = 256,
    json: Annotated[bool, typer.Option("--json", help="Print for machines what was written.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Answer a whole split with one variant, and write the official prediction file."""
    from harness.cli.progress import narrator
    from harness.sweep.options import RunOptions
    from harness.sweep.predicting import predict as answered
    from harness.sweep.predicting import write_rows
    from harness.tasks import get_task

    toolbox: Toolbox = context.obj
    wanted = RunOptions(
        task=task,
        data=data,
        split=split,
        model=model,
        device=device,
        variants=(variant,),
        threads=threads,
        max_length=max_length,
    )
    with narrator(quiet=quiet) as told:
        rows = answered(wanted, toolbox.catalog(), toolbox.cache(), toolbox.machine(), told)
    path = output / f"{get_task(task).folder}.jsonl"
    write_rows(rows, path)
    _show(path, len(rows), json=json)


def _show(path: Path, rows: int, *, json: bool) -> None:
    import json as encoder

    facts = {"file": str(path), "rows": rows}
    typer.echo(encoder.dumps(facts) if json else f"{rows:,} answers: {path}")

"""`bench train`: fine-tune a checkpoint on a task, with the library's trainer."""

from pathlib import Path
from typing import Annotated

import typer


def train(
    context: typer.Context,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Where the checkpoint goes.")],
    task: Annotated[
        str, typer.Option(help="What is learned: boolq, cb or rte.", envvar="BENCH_TASK")
    ] = "boolq",
) -> None:
    """Fine-tune a checkpoint on a task; an interrupted training goes on where it was."""
    del context, output, task

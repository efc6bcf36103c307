"""Options that several commands share: one name, one meaning, one help text."""

from pathlib import Path
from typing import Annotated, Literal

import typer

TaskName = Annotated[
    str, typer.Option("--task", help="What is asked: boolq, cb or rte.", envvar="BENCH_TASK")
]
DataFolder = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        help="Data in the official SuperGLUE layout (default: embedded).",
        envvar="BENCH_DATA",
    ),
]
ModelName = Annotated[
    str,
    typer.Option("--model", help="embedded, a checkpoint folder, or a hub name.", envvar="BENCH_MODEL"),
]
DeviceName = Annotated[str, typer.Option("--device", help="cpu, cuda or cuda:N.", envvar="BENCH_DEVICE")]
SplitName = Annotated[str, typer.Option("--split", help="The split that is answered.")]
Threads = Annotated[
    int | None,
    typer.Option("--threads", help="Threads of every system (default: the physical cores of this process)."),
]
MaxLength = Annotated[
    int, typer.Option("--max-length", help="Longest sequence in tokens; the baseline pads to it.")
]
VariantNames = Annotated[
    str | None,
    typer.Option("--variants", metavar="NAME,...", help="What is compared (default: see `bench list`)."),
]
ScenarioNames = Annotated[
    str, typer.Option("--scenario", metavar="NAME,...", help="single-stream, offline, or both.")
]
Boundary = Annotated[
    Literal["encoded", "text"],
    typer.Option("--boundary", help="What the clock includes: ids to logits, or text to label."),
]
SystemCommand = Annotated[
    str,
    typer.Option(
        "--system-command",
        metavar="'PROGRAM ...'",
        help="Measure a program of your own beside ours, at --boundary text (docs/programs.md).",
    ),
]
ProfileName = Annotated[str, typer.Option("--profile", help="How much is measured: quick or default.")]
Rounds = Annotated[int | None, typer.Option("--rounds", help="Rounds, instead of the profile's.")]
Limit = Annotated[int | None, typer.Option("--limit", "-n", help="Timed examples, instead of the profile's.")]
QualityOf = Annotated[
    Literal["full", "sample"],
    typer.Option("--quality", help="full: answer the rest of the split untimed; sample: do not."),
]
Seed = Annotated[int, typer.Option("--seed", help="Seed of all that is drawn.")]
Resume = Annotated[
    str | None,
    typer.Option("--resume", metavar="RUN", help="Go on with an unfinished run, or with `latest`."),
]
StoreFolder = Annotated[
    Path | None,
    typer.Option("--store", metavar="DIR", help="Where records are (default: BENCH_STORE or ./results)."),
]
Json = Annotated[bool, typer.Option("--json", help="Print for machines, and nothing else on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]


def names(words: str) -> tuple[str, ...]:
    """Split a comma-separated option."""
    return tuple(word.strip() for word in words.split(",") if word.strip())

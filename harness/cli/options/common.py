"""Options that several commands share: one name, one meaning, one help text."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypedDict

import typer

if TYPE_CHECKING:
    from harness.workload.data.user_files import UserData


class MoreRounds(TypedDict):
    """The fields of `RunOptions` that say how long rounds go on."""

    launches: int | None
    precision: float | None
    time_budget_s: float | None
    null_test: str
    condition: str


TaskName = Annotated[
    str,
    typer.Option(
        "--task",
        help="What is asked: a task of `bench list`, or custom (your own data).",
        envvar="BENCH_TASK",
    ),
]
DataFolder = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR|FILE",
        help="Data in the official SuperGLUE layout (default: embedded); with --task custom, your own file.",
        envvar="BENCH_DATA",
    ),
]
TextColumns = Annotated[
    str | None,
    typer.Option("--text", metavar="NAME[,NAME]", help="Of your own data: the column of texts, or two."),
]
LabelColumn = Annotated[
    str | None, typer.Option("--label", metavar="NAME", help="Of your own data: the column of labels.")
]
MetricName = Annotated[
    Literal["accuracy", "f1", "mcc"] | None,
    typer.Option("--metric", help="Of your own data (default: accuracy); f1 is the last of two labels'."),
]
LabelNames = Annotated[
    str | None,
    typer.Option(
        "--labels",
        metavar="NAME,...",
        help="Of your own data: the labels, in the order of the model's (default: those found, sorted).",
    ),
]
HeldOut = Annotated[
    float | None,
    typer.Option("--held-out", metavar="SHARE", help="Of one file of your own: how much is val (0.2)."),
]
ModelName = Annotated[
    str,
    typer.Option(
        "--model",
        help="embedded, a checkpoint folder, or a hub name; m/{task} for a folder each.",
        envvar="BENCH_MODEL",
    ),
]
DeviceName = Annotated[str, typer.Option("--device", help="cpu, cuda or cuda:N.", envvar="BENCH_DEVICE")]
DeviceNames = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="NAME,...",
        help="cpu, cuda or cuda:N; several are measured one after the other, in groups of their own.",
        envvar="BENCH_DEVICE",
    ),
]
PredictedSplit = Annotated[
    str | None,
    typer.Option("--split", help="The split that is answered (default: test; of one file of your own: all)."),
]
MeterName = Annotated[
    str,
    typer.Option(
        "--meter",
        metavar="NAME[:ARGUMENT]",
        help="What reads energy: a meter of `bench list`, or none (default: the first that works here).",
        envvar="BENCH_METER",
    ),
]
Threads = Annotated[
    int | None,
    typer.Option("--threads", help="Threads of every system (default: the physical cores of this process)."),
]
Instances = Annotated[
    int,
    typer.Option("--instances", help="Copies of each variant, in processes that share the threads."),
]
MaxLength = Annotated[
    int, typer.Option("--max-length", help="Longest sequence in tokens; the baseline pads to it.")
]
VariantNames = Annotated[
    str | None,
    typer.Option("--variants", metavar="NAME,...", help="What is compared (default: see `bench list`)."),
]
ScenarioNames = Annotated[
    str,
    typer.Option(
        "--scenario",
        metavar="NAME,...",
        help="single-stream, batch, offline, server (default: single-stream; offline at --boundary process).",
    ),
]
Boundary = Annotated[
    Literal["encoded", "text", "process"],
    typer.Option(
        "--boundary", help="What the clock includes: ids to logits, text to label, or files to files."
    ),
]
SystemCommand = Annotated[
    str,
    typer.Option(
        "--system-command",
        metavar="'PROGRAM ...'",
        help="Measure a program of your own beside ours, at --boundary text or process (docs/programs.md).",
    ),
]
ProfileName = Annotated[str, typer.Option("--profile", help="How much is measured: quick, default or full.")]
Rounds = Annotated[int | None, typer.Option("--rounds", help="Rounds, instead of the profile's.")]
Launches = Annotated[
    int | None,
    typer.Option("--launches", help="Process launches, each of --rounds rounds, instead of the profile's."),
]
Precision = Annotated[
    str | None,
    typer.Option(
        "--precision", metavar="SHARE", help="Add rounds until each speed-up is known to within 2%, say."
    ),
]
TimeBudget = Annotated[
    str | None,
    typer.Option(
        "--time-budget", metavar="TIME", help="Add none for --precision once measuring took 10m, say."
    ),
]
NullTest = Annotated[
    str,
    typer.Option(
        "--null-test",
        metavar="VARIANT",
        help="Measure this variant against itself, and keep the trace in the store (docs/method.md).",
    ),
]
Condition = Annotated[
    str,
    typer.Option("--condition", metavar="WORDS", help="Of a null test: what else the machine does."),
]
Limit = Annotated[int | None, typer.Option("--limit", "-n", help="Timed examples, instead of the profile's.")]
Roofline = Annotated[
    bool,
    typer.Option(
        "--roofline", help="Measure what the cores do at most, and report each system's share of it."
    ),
]
QualityOf = Annotated[
    Literal["full", "sample"],
    typer.Option("--quality", help="full: answer the rest of the split untimed; sample: do not."),
]
SplitName = Annotated[
    str | None, typer.Option("--split", help="The split that is answered (default: val; of AX, its own).")
]
MaxLoss = Annotated[
    float,
    typer.Option(min=0.0, metavar="POINTS", help="What may be lost of the task's first metric, in points."),
]
Objective = Annotated[
    Literal["speed", "energy"], typer.Option(help="What the winner is best at: time or joules a request.")
]
Seed = Annotated[int, typer.Option("--seed", help="Seed of all that is drawn.")]
Resume = Annotated[
    str | None,
    typer.Option(
        "--resume", metavar="RUN", help="Go on with an unfinished run: its id, `latest`, or `all` of them."
    ),
]
StoreFolder = Annotated[
    Path | None,
    typer.Option("--store", metavar="DIR", help="Where records are (default: BENCH_STORE or ./results)."),
]
Price = Annotated[
    float | None,
    typer.Option(
        "--price-per-hour",
        metavar="USD",
        help="What the machine costs an hour (default: the paper's, named in the table).",
        min=0.0,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print for machines, and nothing else on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]


def own_data(
    text: str | None,
    label: str | None,
    metric: Literal["accuracy", "f1", "mcc"] | None,
    labels: str | None,
    held_out: float | None,
) -> "UserData":
    """Gather what is said of data of the user's own."""
    from harness.workload.data.user_files import UserData

    return UserData(names(text or ""), label or "", metric, names(labels or ""), held_out)


def more_rounds(
    launches: int | None,
    precision: str | None,
    time_budget: str | None,
    null_test: str = "",
    condition: str = "",
) -> "MoreRounds":
    """Return what is asked of launches, precision and the null test, as `RunOptions` names it."""
    from harness.cli.options.amounts import seconds_of, share_of

    return {
        "launches": launches,
        "precision": share_of(precision, "--precision") if precision else None,
        "time_budget_s": seconds_of(time_budget, "--time-budget") if time_budget else None,
        "null_test": null_test,
        "condition": condition,
    }


def predicted_split(asked: str | None, data: Path | None) -> str:
    """Return the split that is answered: of a file, which only data of one's own can be, `all`."""
    return asked or ("all" if data and data.is_file() else "test")


def names(words: str) -> tuple[str, ...]:
    """Split a comma-separated option."""
    return tuple(word.strip() for word in words.split(",") if word.strip())

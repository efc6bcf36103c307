"""`bench train`: fine-tune a checkpoint on a task, with the library's trainer."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
    MeterName,
    MetricName,
    Quiet,
    Seed,
    TaskName,
    TextColumns,
    own_data,
)

if TYPE_CHECKING:
    from harness.common.progress import ProgressReporter
    from harness.workload.data.user_files import UserData

EMBEDDED_ROWS = 4096
"""Training rows of the embedded sample, where no --data is given."""

MILLE = 1000


def train(
    context: typer.Context,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Where the checkpoint goes.")],
    task: TaskName = "boolq",
    data: DataFolder = None,
    text: TextColumns = None,
    label: LabelColumn = None,
    metric: MetricName = None,
    labels: LabelNames = None,
    held_out: HeldOut = None,
    model: Annotated[
        str,
        typer.Option(
            help="minilm, embedded, a checkpoint folder, a hub name; scratch: the embedded encoder anew."
        ),
    ] = "minilm",
    device: DeviceName = "cpu",
    meter: MeterName = "",
    epochs: Annotated[
        int, typer.Option(min=0, help="Passes over the training split; 0: a random head, for speed only.")
    ] = 4,
    learning_rate: Annotated[float, typer.Option(min=1e-9, max=1.0, help="At its peak.")] = 3e-5,
    batch_size: Annotated[int, typer.Option(min=1, help="Examples a step.")] = 16,
    max_length: MaxLength = 256,
    seed: Seed = 0,
    at_most: Annotated[
        float | None,
        typer.Option(metavar="MINUTES", min=0.01, help="Train no longer than this; keep what was learned."),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Do not go on with an interrupted training.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fine-tune a checkpoint on a task; an interrupted training goes on where it was."""
    from harness.cli.output.progress import narrator

    toolbox: CliContext = context.obj
    with narrator(quiet=quiet) as told:
        if model == "scratch":
            _no_meter(meter)
            facts = _from_scratch(toolbox, output, seed, told)
        else:
            settings = {
                "epochs": epochs,
                "learning_rate": learning_rate,
                "batch": batch_size,
                "max_length": max_length,
                "seed": seed,
            }
            own = own_data(text, label, metric, labels, held_out)
            asked = (task, data, own)
            limits = {"resume": not fresh, "at_most_s": None if at_most is None else at_most * 60}
            facts = _fine_tuned(toolbox, asked, model, output, device, meter, settings, told, limits)
    _show(facts, output, json=json)


def _fine_tuned(
    toolbox: CliContext,
    asked: "tuple[str, Path | None, UserData]",
    model: str,
    output: Path,
    device: str,
    meter_asked: str,
    settings: dict[str, Any],
    told: "ProgressReporter",
    limits: dict[str, Any],
) -> dict[str, Any]:
    from harness.measurement.machine.devices import one_device
    from harness.runs.planning.meter_selection import select_meter
    from harness.systems.artifact_cache import ArtifactCache
    from harness.workload.data import load_split
    from harness.workload.data.user_files import find_task_data

    machine = toolbox.machine()
    device = one_device(device)
    machine.check_device(device)
    meter = select_meter(machine, device, meter_asked).choice.meter
    found = find_task_data(*asked, toolbox.cache(), split="train", train_rows=EMBEDDED_ROWS)
    task, split = found.task, load_split(found.task, found.data, "train")
    training = toolbox.training()
    checkpoint = training.resolve(model, task, ArtifactCache(toolbox.cache()))
    mark = meter.start() if meter else None
    return training.finetune(
        task,
        split.examples,
        (),
        checkpoint,
        output,
        tuning=training.tuning(**settings),
        device=device,
        data_fingerprint=split.fingerprint,
        progress=_progress(told, f"train {checkpoint.name} on {task.name}"),
        energy=(lambda: _readings(meter.read(mark))) if meter else None,
        **limits,
    )


def _no_meter(asked: str) -> None:
    from harness.common.errors import UsageError

    if asked not in ("", "none"):
        remedy = "Leave it out, or name another --model."
        raise UsageError("the embedded encoder is made without a meter.", where="--meter", remedy=remedy)


def _from_scratch(toolbox: CliContext, output: Path, seed: int, told: "ProgressReporter") -> dict[str, Any]:
    return toolbox.training().scratch(
        output, seed=seed, progress=_progress(told, "train the embedded encoder")
    )


def _progress(told: "ProgressReporter", stage: str) -> Callable[[Any], None]:
    """Return what is told of training: a bar in thousandths, with the loss beside it.

    The bar begins where training does: what an interrupted training had done is no work of this session, and
    must not make the rest look quick.
    """
    done: float | None = None

    def tick(where: Any) -> None:  # noqa: ANN401 -- baselines' Tick, whose module the harness does not load
        nonlocal done
        now = where.fraction * MILLE
        if done is None:
            told.stage(stage, round(MILLE - now))
        else:
            told.step(now - done)
        done = now
        if where.loss is not None:
            told.detail(f"loss {where.loss:.3f}")

    return tick


def _readings(readings: Any) -> list[dict[str, Any]]:  # noqa: ANN401 -- a tuple of Reading
    import dataclasses

    return [dataclasses.asdict(reading) for reading in readings]


def _show(facts: dict[str, Any], output: Path, *, json: bool) -> None:
    import json as encoder

    if json:
        typer.echo(encoder.dumps(facts, indent=1))
        return
    typer.echo(f"Trained in {time.strftime('%H:%M:%S', time.gmtime(facts['seconds']))}: {output}")
    typer.echo(f"How, and what it cost: {output / 'training.json'}")

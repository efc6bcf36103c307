"""`bench train`: fine-tune a checkpoint on a task, with the library's trainer."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol

import typer

from harness.cli.context import CliContext
from harness.cli.models.few_examples import FewExamplesOptions, refuse_for_scratch
from harness.cli.models.first_training import FirstTrainingOptions
from harness.cli.options.data import DataOptions, TrainedData
from harness.cli.options.execution import MaxLength, MeterName, Seed, TrainingCluster
from harness.cli.options.groups import OptionGroup
from harness.cli.options.output import Output, OutputFolder
from harness.cli.options.panels import amount_option, how_option, what_option
from harness.cli.options.selection import DeviceName
from harness.cli.options.units import parse_duration
from harness.cli.output.terminal import print_json
from harness.common.errors import UsageError
from harness.common.progress import LOADING_QUIET_S

if TYPE_CHECKING:
    from harness.common.json_types import JsonObject
    from harness.common.progress import ProgressReporter
    from harness.measurement.energy.meter import Meter
    from harness.records.reading import Reading

EMBEDDED_ROWS = 4096
"""Training rows of the embedded sample, where no --data is given."""

MILLE = 1000


class TrainingStatus(Protocol):
    """How far training is, and its latest loss; the class is in a package that loads torch."""

    fraction: float
    loss: float | None
    scoring: bool


class TrainingOptions(OptionGroup):
    """The checkpoint, the hyperparameters, and when training stops."""

    model: Annotated[
        str,
        what_option(
            "--model NAME|DIR",
            "minilm, a folder or hub name; embedded for the tasks that it has a head for; scratch trains "
            "that one.",
        ),
    ] = "minilm"
    device: DeviceName = "cpu"
    epochs: Annotated[
        int, amount_option("--epochs N", "Passes over train; 0: a random head, for speed only.", min=0)
    ] = 4
    max_time: Annotated[
        str | None,
        amount_option("--max-time TIME", "Stop after this time, 30m for instance; keep the model."),
    ] = None
    learning_rate: Annotated[
        float, how_option("--learning-rate RATE", "Peak of the learning rate.", min=1e-9, max=1.0)
    ] = 3e-5
    batch_size: Annotated[int, how_option("--batch-size N", "Examples per step.", min=1)] = 16
    max_length: MaxLength = 256
    seed: Seed = 0
    meter: MeterName = ""
    no_resume: Annotated[
        bool, how_option("--no-resume", "Start again where an interrupted training could be resumed.")
    ] = False

    def settings(self) -> "JsonObject":
        """Return the hyperparameters as the trainer names them."""
        return {
            "epochs": self.epochs,
            "learning_rate": self.learning_rate,
            "batch": self.batch_size,
            "max_length": self.max_length,
            "seed": self.seed,
        }

    def check_for_scratch(self) -> None:
        """Raise UsageError for an option that --model scratch does not use: it has settings of its own."""
        unused = ("epochs", "max_time", "learning_rate", "batch_size", "max_length", "no_resume")
        defaults = {field.name: field.default for field in fields(self)}
        refuse_for_scratch(name for name in unused if getattr(self, name) != defaults[name])

    def max_seconds(self) -> float | None:
        """Return the seconds after which training stops, or None."""
        return parse_duration(self.max_time, "--max-time", "30m") if self.max_time else None


def train(
    typer_context: typer.Context,
    context: CliContext,
    data: TrainedData,
    first: FirstTrainingOptions,
    training: TrainingOptions,
    few: FewExamplesOptions,
    cluster: TrainingCluster,
    folder: OutputFolder,
    output: Output,
) -> None:
    """Fine-tune a checkpoint on a task. Continues an interrupted training."""
    from harness.cli.output.progress import progress_reporter

    cluster.check(data.task)
    first.check()
    with progress_reporter(quiet=output.quiet) as progress:
        if cluster.cluster:
            files = (data.data, training.model, *(first.first or ()))
            seeds = (cluster.seeds, training.seed)
            _train_on_cluster(typer_context, cluster, data.task, seeds, files, folder, output, progress)
        if training.model == "scratch":
            _check_no_meter(training.meter)
            first.check_absent()
            few.check_absent()
            training.check_for_scratch()
            ticks = _ticks(progress, "train the embedded encoder")
            facts = context.training().scratch(folder, seed=training.seed, progress=ticks)
        else:
            facts = _continued_later(
                folder, lambda: _finetune(context, data, first, training, few, folder, progress)
            )
    if output.json:
        print_json(facts)
        return
    _print(facts, folder)


def _continued_later(folder: Path, work: "Callable[[], JsonObject]") -> "JsonObject":
    """Do the work; an interruption tells how to go on."""
    from harness.common.errors import InterruptedRun

    try:
        return work()
    except KeyboardInterrupt:
        raise InterruptedRun(
            "interrupted; the last checkpoint is kept.",
            where=str(folder),
            remedy="The same command continues.",
        ) from None


def _print(facts: "JsonObject", folder: Path) -> None:
    typer.echo(f"Trained in {time.strftime('%H:%M:%S', time.gmtime(facts['seconds']))}: {folder}")
    if calibration := facts.get("threshold_calibration"):
        typer.echo(_threshold(calibration))
    typer.echo(f"How, and what it cost: {folder / 'training.json'}")


def _train_on_cluster(
    typer_context: typer.Context,
    cluster: TrainingCluster,
    tasks: str,
    seeds: tuple[str, int],
    files: "Sequence[Path | str | None]",
    output_folder: Path,
    output: Output,
    progress: "ProgressReporter",
) -> None:
    """Train each task with each seed on free hosts, print what each cost, and exit."""
    from harness.cli.cluster.training import seeds_of, train_on_cluster, trainings_of

    trainings = trainings_of(tasks, seeds_of(*seeds), output_folder)
    trained, code = train_on_cluster(typer_context, cluster, trainings, files, progress)
    progress.finish()
    if output.json:
        print_json([{"output": str(folder), **facts} for folder, facts in trained.items()])
    else:
        for folder, facts in trained.items():
            _print(facts, folder)
    raise typer.Exit(code)


def _threshold(calibration: "JsonObject") -> str:
    scores = [f"{100 * calibration[name]:.1f}" for name in ("score", "score_at_half")]
    metric = calibration["metric"].replace("_", "-")
    return (
        f"Best threshold on {calibration['examples']:,} held-out training examples: "
        f"{calibration['threshold']:g}, with {metric} {scores[0]} %; 0.5 has {scores[1]} %. "
        f"Use it with --threshold {calibration['threshold']:g}."
    )


def _finetune(
    context: CliContext,
    data: DataOptions,
    first: FirstTrainingOptions,
    options: TrainingOptions,
    few: FewExamplesOptions,
    folder: Path,
    progress: "ProgressReporter",
) -> "JsonObject":
    from harness.measurement.machine.devices import one_device
    from harness.runs.planning.meter_selection import select_meter
    from harness.systems.artifact_cache import ArtifactCache
    from harness.workload.data import load_split
    from harness.workload.data.user.task_files import find_task_data

    progress.stage("check data and model", 1)
    machine, cache = context.machine(), context.cache()
    device = one_device(options.device)
    machine.check_device(device)
    progress.finish()
    meter = select_meter(machine, device, options.meter).choice.meter
    progress.stage("load data and model", 1, quiet_s=LOADING_QUIET_S)
    task_data = find_task_data(
        data.task, data.data, data.user_data, cache, split="train", train_rows=EMBEDDED_ROWS
    )
    task, split = task_data.task, load_split(task_data.task, task_data.data, "train")
    training = context.training()
    checkpoint = training.resolve(options.model, task, ArtifactCache(cache))
    first_training = None
    if first.first:
        tuning = training.tuning(**{**options.settings(), **first.settings()})
        pairs = first.pairs()
        ticks = _ticks(progress, f"train {checkpoint.name} on {len(pairs.examples):,} pairs")
        first_training = training.intermediate(
            pairs,
            checkpoint,
            ArtifactCache(cache),
            tuning=tuning,
            device=device,
            progress=ticks,
            energy=_energy_probe(meter),
            resume=not options.no_resume,
        )
        checkpoint = first_training.checkpoint
    return training.finetune(
        task,
        split.examples,
        (),
        checkpoint,
        folder,
        tuning=training.tuning(**options.settings(), **few.settings()),
        device=device,
        data_fingerprint=split.fingerprint,
        progress=_ticks(progress, f"train {checkpoint.name} on {task.name}"),
        energy=_energy_probe(meter),
        resume=not options.no_resume,
        at_most_s=options.max_seconds(),
        **({"first_training": first_training.facts} if first_training else {}),
    )


def _energy_probe(meter: "Meter | None") -> "Callable[[], list[JsonObject]] | None":
    """Start the meter; return what reads it, or None without one."""
    if meter is None:
        return None
    mark = meter.start()
    return lambda: _facts(meter.read(mark))


def _facts(readings: "Sequence[Reading]") -> "list[JsonObject]":
    return [asdict(reading) for reading in readings]


def _check_no_meter(meter: str) -> None:
    if meter not in ("", "none"):
        raise UsageError(
            f"--model scratch is trained without a meter, got {meter}.",
            where="--meter",
            remedy="Leave it out, or name another --model.",
        )


def _ticks(progress: "ProgressReporter", stage: str) -> Callable[[TrainingStatus], None]:
    """Return a callback that reports training as a stage of a thousand steps, with its loss.

    The stage starts where this session does: what an interrupted training had done would otherwise count as
    work of this session, and the estimate of the time left would be too short.
    """
    reported: float | None = None

    def tick(training: TrainingStatus) -> None:
        nonlocal reported
        done = training.fraction * MILLE
        if reported is None:
            # the trainer works in this process, and its joules are read
            progress.stage(stage, round(MILLE - done), quiet_s=LOADING_QUIET_S)
        else:
            progress.step(done - reported)
        reported = done
        if training.scoring:
            progress.detail("scoring the held-out examples")
        elif training.loss is not None:
            progress.detail(f"loss {training.loss:.3f}")

    return tick

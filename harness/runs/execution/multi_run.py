"""Several tasks in one command: a run for each, all checked and prepared before any is measured."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.catalog import Catalog
from harness.common.errors import DataError, UsageError
from harness.common.progress import ProgressReporter
from harness.records.store import Store
from harness.runs.execution.preparation import Preparer
from harness.runs.execution.run import Run, start
from harness.runs.planning.options import RunOptions
from harness.runs.services import Machine
from harness.workload.tasks import TASKS, get_task
from harness.workload.tasks.base import Task, reported_split, split_path
from harness.workload.tasks.custom import CUSTOM

ALL = "all"
TASK = "{task}"
"""The placeholder for the task in a model's name: `m/{task}`."""


CROSSED = ("threads", "instances", "max_length", "boundary", "model", "seed")
"""Settings that a sweep may cross."""


@dataclass(frozen=True, slots=True)
class LabelledProgress:
    """A progress reporter that names the task of each stage."""

    task: str
    narrator: ProgressReporter

    def stage(self, name: str, steps: int, *, quiet_s: float = 0.0) -> None:
        """Begin a stage of the task."""
        self.narrator.stage(f"{self.task}: {name}", steps, quiet_s=quiet_s)

    def step(self, done: float = 1.0) -> None:
        """Count steps."""
        self.narrator.step(done)

    def detail(self, text: str) -> None:
        """Report what is being done now."""
        self.narrator.detail(text)

    def warn(self, text: str) -> None:
        """Report a warning about the task."""
        self.narrator.warn(f"{self.task}: {text}")

    def finish(self) -> None:
        """End the current stage."""
        self.narrator.finish()


def options_per_task(
    options: RunOptions, tasks: Sequence[str], split: str | None, narrator: ProgressReporter
) -> list[RunOptions]:
    """Return the options of each task's run; `split` None is the one that each task reports.

    Of `all`, tasks whose file or checkpoint is missing are left out with a warning. UsageError if one
    checkpoint is named for tasks that need several.
    """
    if list(tasks) == [CUSTOM]:
        return [replace(options, task=CUSTOM, split=split or "val")]
    every = list(tasks) == [ALL]
    named = list(TASKS.values()) if every else [get_task(name) for name in dict.fromkeys(tasks)]
    _check_model(options.model, named)
    runs = [_for_task(options, task, split, every=every) for task in named]
    if not every:
        return runs
    missing = {run.task: reason for run in runs if (reason := _missing(run))}
    for name, reason in missing.items():
        narrator.warn(f"{name} is left out: {reason}")
    if len(missing) == len(runs):
        raise DataError("no task can be measured.", remedy="See the reasons above, or name one with --task.")
    return [run for run in runs if run.task not in missing]


def start_all(
    runs: Sequence[RunOptions],
    catalog: Catalog,
    store: Store,
    cache: Path,
    machine: Machine,
    narrator: ProgressReporter,
    before_work: Callable[[], None] = lambda: None,
) -> list[Run]:
    """Check and prepare every run; each is in the store, unfinished, before the first is measured.

    `before_work` is called for each run between its checks and its preparation.
    """
    preparer = Preparer(machine)
    try:
        return [
            start(
                options,
                catalog,
                store,
                cache,
                machine,
                labelled_progress(title, len(runs), narrator),
                preparer,
                before_work,
            )
            for options, title in zip(runs, titles(runs), strict=True)
        ]
    finally:
        preparer.end()


def titles(runs: Sequence[RunOptions]) -> list[str]:
    """Return a title for each run: its task, and the settings in which the runs differ."""
    differ = [name for name in CROSSED if len({getattr(options, name) for options in runs}) > 1]
    return [
        ", ".join([options.task, *(f"{name.replace('_', ' ')} {getattr(options, name)}" for name in differ)])
        for options in runs
    ]


def labelled_progress(task: str, runs: int, narrator: ProgressReporter) -> ProgressReporter:
    """Return the progress reporter of one run: it names the task where there are several runs."""
    return LabelledProgress(task, narrator) if runs > 1 else narrator


def _for_task(options: RunOptions, task: Task, split: str | None, *, every: bool) -> RunOptions:
    name = split if split and not (every and split not in task.splits) else reported_split(task)
    return replace(options, task=task.name, split=name, model=options.model.replace(TASK, task.model_task))


def _check_model(model: str, tasks: Sequence[Task]) -> None:
    if model == "embedded" or TASK in model or len({task.model_task for task in tasks}) == 1:
        return
    raise UsageError(
        f"{model} is one checkpoint, and these tasks need one each.",
        where="--model",
        remedy="Name them by task: --model 'm/{task}' means m/boolq, m/cb and so on.",
    )


def _missing(options: RunOptions) -> str | None:
    """Return what is missing for a task of `all`, or None."""
    task = get_task(options.task)
    if options.data and not (options.data / split_path(task, options.split)).exists():
        return f"{split_path(task, options.split)} is not in the data folder."
    if options.model != "embedded" and not Path(options.model).expanduser().exists():
        return f"there is no checkpoint {options.model}."
    return None

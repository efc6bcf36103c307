"""The options under `Data`: the task, the files, the columns of a user's own file, the split."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from harness.cli.options.groups import OptionGroup
from harness.cli.options.panels import data_option
from harness.cli.options.units import split_names
from harness.common.errors import UsageError

if TYPE_CHECKING:
    from harness.runs.planning.options import RunOptions
    from harness.workload.data.user.task_files import UserData


class DataFiles(OptionGroup):
    """Where data are; `--text` to `--truncate` describe a user's own file."""

    data: Annotated[
        Path | None,
        data_option(
            "--data DIR|FILE",
            "Folder in the official layout (default: the embedded sample), or your own file (--task custom).",
            envvar="BENCH_DATA",
        ),
    ] = None
    text: Annotated[
        str | None, data_option("--text NAME[,NAME]", "Own file: column of the text, or two columns.")
    ] = None
    label: Annotated[
        str | None,
        data_option(
            "--label NAME[,NAME...]",
            "Own file: column of the label or list of labels; or several of 0 and 1.",
        ),
    ] = None
    metric: Annotated[
        Literal["accuracy", "f1", "mcc", "micro-f1", "macro-f1", "subset-accuracy"] | None,
        data_option(
            "--metric accuracy|f1|mcc|micro-f1|macro-f1|subset-accuracy",
            "Own file: metric (default: accuracy; with several labels per example micro-f1); f1 of the last.",
        ),
    ] = None
    labels: Annotated[
        str | None,
        data_option("--labels NAME,...", "Own file: labels in the model's order (default: sorted)."),
    ] = None
    held_out: Annotated[
        float | None, data_option("--held-out SHARE", "Own file: share that is val (default: 0.2).")
    ] = None
    truncate: Annotated[
        Literal["first", "second", "longest"] | None,
        data_option(
            "--truncate first|second|longest",
            "Own file: text of a pair that is cut to the maximum length (default: longest).",
        ),
    ] = None
    quoting: Annotated[
        Literal["auto", "quoted", "none"] | None,
        data_option(
            "--quoting auto|quoted|none",
            "Own CSV or TSV file: whether quotes enclose fields, or are part of the text (default: auto).",
        ),
    ] = None
    multi_label: Annotated[
        bool, data_option("--multi-label", "Own file without labels: any number of --labels may hold.")
    ] = False
    threshold: Annotated[
        str | None,
        data_option(
            "--threshold P|calibrated",
            "Own file, several labels: probability from which one holds (default: 0.5), or calibrated.",
        ),
    ] = None

    @property
    def user_data(self) -> "UserData":
        """The description of a user's own file."""
        from harness.workload.data.user.task_files import UserData

        return UserData(
            text=split_names(self.text),
            label=self.label or "",
            metric=self.metric,
            labels=split_names(self.labels),
            held_out=self.held_out,
            truncate=self.truncate,
            quoting=self.quoting,
            multi_label=self.multi_label,
            threshold=_threshold(self.threshold),
        )


def _threshold(text: str | None) -> "float | Literal['calibrated'] | None":
    if text is None:
        return None
    if text == "calibrated":
        return "calibrated"
    try:
        return float(text)
    except ValueError:
        raise UsageError(
            f"--threshold must be a probability or `calibrated`, got {text!r}.", remedy="For example 0.3."
        ) from None


class TaskOptions(OptionGroup):
    """A task."""

    task: Annotated[
        str,
        data_option("--task NAME", "Task of `bench list`, or custom for your own data.", envvar="BENCH_TASK"),
    ] = "boolq"


class DataOptions(DataFiles, TaskOptions):
    """A task and its data."""

    def apply(self, options: "RunOptions") -> "RunOptions":
        """Set task and data."""
        return replace(options, task=self.task, data=self.data, own=self.user_data)


class TrainedData(DataOptions):
    """A task and its data, or several tasks on a cluster."""

    task: Annotated[
        str,
        data_option(
            "--task NAME",
            "Task of `bench list`, or custom for your own data; NAME,... with --cluster, one training each.",
            envvar="BENCH_TASK",
        ),
    ] = "boolq"


class MeasuredData(DataOptions):
    """A task, its data and the split that is measured."""

    split: Annotated[
        str | None,
        data_option("--split NAME", "Split to measure on (default: val; test for the AX diagnostics)."),
    ] = None


class RunData(MeasuredData):
    """One task or several, their data and the split that is measured."""

    task: Annotated[
        str,
        data_option(
            "--task NAME,...",
            "Tasks of `bench list`, all, or custom for your own data; a run for each.",
            envvar="BENCH_TASK",
        ),
    ] = "boolq"


class PredictedData(DataOptions):
    """A task, its data and the split that is predicted."""

    split: Annotated[
        str | None,
        data_option("--split NAME", "Split that is answered (default: test; for your own file, all)."),
    ] = None

    @property
    def predicted_split(self) -> str:
        """The split to predict: `all` of one file of the user's own."""
        return self.split or ("all" if self.data and self.data.is_file() else "test")

    def apply(self, options: "RunOptions") -> "RunOptions":
        """Set task, data and split."""
        return replace(super().apply(options), split=self.predicted_split)


class CheckedData(PredictedData):
    """A task, its data and the split on which an export is checked."""

    split: Annotated[
        str | None,
        data_option(
            "--split NAME",
            "Split whose answers are compared (default: test, else val; for your own file, all).",
        ),
    ] = None

    @property
    def predicted_split(self) -> str:
        """The split to compare answers on: `val` of a folder of the user's own that has no test file."""
        if self.split is None and self.task == "custom" and self.data and self.data.is_dir():
            return "test" if any(self.data.glob("test.*")) else "val"
        return super().predicted_split

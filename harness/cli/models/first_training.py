"""Options of `bench train` for intermediate training: files of text pairs that come before the task."""

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from harness.cli.options.groups import OptionGroup
from harness.cli.options.panels import amount_option, what_option
from harness.common.errors import UsageError

if TYPE_CHECKING:
    from harness.common.json_types import JsonObject
    from harness.workload.data.user.intermediate import IntermediateData

SEED = 0
"""The seed of intermediate training, so that all tasks and seeds begin with one checkpoint."""

COLUMNS = "premise,hypothesis"


class FirstTrainingOptions(OptionGroup):
    """Intermediate training on pairs of texts, before the task."""

    first: Annotated[
        list[Path] | None,
        what_option("--first FILE", "Pairs to train on first, entailment for instance; may be repeated."),
    ] = None
    first_text: Annotated[
        str, what_option("--first-text NAME,NAME", "Columns of the two texts in these files.")
    ] = COLUMNS
    first_label: Annotated[str, what_option("--first-label NAME", "Column of the label in these files.")] = (
        "label"
    )
    first_epochs: Annotated[int, amount_option("--first-epochs N", "Passes over these files.", min=1)] = 1

    def columns(self) -> tuple[str, ...]:
        """Return the columns of the two texts; UsageError unless there are two."""
        columns = tuple(name.strip() for name in self.first_text.split(",") if name.strip())
        if len(set(columns)) != 2:  # noqa: PLR2004 -- a pair
            raise UsageError(
                f"--first-text must name two columns, got {self.first_text!r}.",
                remedy=f"For instance: --first-text {COLUMNS}.",
            )
        return columns

    def settings(self) -> "JsonObject":
        """Return the hyperparameters that differ from those of the task's training."""
        return {"epochs": self.first_epochs, "seed": SEED}

    def pairs(self) -> "IntermediateData":
        """Read the files."""
        from harness.workload.data.user.intermediate import load_intermediate

        return load_intermediate(self.first or [], self.columns(), self.first_label)

    def check(self) -> None:
        """Raise UsageError if an option of --first is given without it."""
        defaults = {field.name: field.default for field in fields(self)}
        names = ("first_text", "first_label", "first_epochs")
        given = (name for name in names if getattr(self, name) != defaults[name])
        if not self.first and (name := next(given, None)):
            raise UsageError(
                "it belongs to --first, and no file is named.",
                where=f"--{name.replace('_', '-')}",
                remedy="Add --first FILE, or leave it out.",
            )

    def check_absent(self) -> None:
        """Raise UsageError if a file is named: --model scratch trains no task."""
        if self.first:
            raise UsageError(
                "--model scratch trains no task, so nothing comes first.",
                where="--first",
                remedy="Leave it out, or name another --model.",
            )

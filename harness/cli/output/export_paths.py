"""The paths that a run's command named, for the `bench export` command that its verdict ends with."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.analysis.verdict.handover import ExportPaths

if TYPE_CHECKING:
    from harness.records.plan import Plan
    from harness.runs.execution.run import Run
    from harness.runs.planning.options import RunOptions


def named_paths(
    runs: "Sequence[Run]", planned: "Sequence[RunOptions]", ladder: str = ""
) -> dict[str, ExportPaths]:
    """Return the paths of each run as its options name them; without options, as its plan holds them.

    `ladder` is the value of `--ladder`.
    """
    if not planned:
        return {run.plan.run: _of_plan(run.plan) for run in runs}
    return {
        run.plan.run: ExportPaths(
            str(options.data or ""),
            options.model,
            ladder,
            options.ladder.parameters if options.ladder else {},
        )
        for run, options in zip(runs, planned, strict=True)
    }


def _of_plan(plan: "Plan") -> ExportPaths:
    """Return the folders of a resumed run; the path of a user's own file is not in its plan."""
    is_folder = plan.data.tier == "local" and plan.custom is None
    model = plan.model.folder if plan.model.tier == "local" else ""
    parameters = plan.ladder.parameters if plan.ladder else {}
    return ExportPaths(plan.data.folder if is_folder else "", model, "", parameters)

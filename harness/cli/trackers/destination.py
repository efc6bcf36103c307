"""Where `bench report --to NAME` sends records, and what becomes of them."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING

from harness.cli.trackers.outcome import Logged
from harness.common.errors import UsageError, unknown_name

if TYPE_CHECKING:
    from reports import Report
    from reports.exports.tracked import TrackedRecord

_PACKAGES = {"mlflow": "mlflow-skinny", "wandb": "wandb"}
"""What is installed, by the name of the library."""


def send(report: "Report", name: str) -> Logged:
    """Log every record of a report to the tracker of this name.

    UsageError for an unknown tracker, one whose library is not installed, or a run that is not finished;
    StoreError where the tracker does not take the records.
    """
    if name not in TRACKERS:
        raise unknown_name("tracker", name, TRACKERS)
    if report.unfinished:
        raise UsageError(
            "the run is not finished, and a tracker would take its figures for those of a finished one.",
            remedy="`bench run --resume` finishes it.",
        )
    spec = find_spec(name)
    # a folder of this name, such as the one that wandb makes, has no origin
    if spec is None or spec.origin is None:
        raise UsageError(
            f"--to {name} needs the library {name}, which is not installed.",
            remedy=f"Install it: pip install {_PACKAGES[name]}",
        )
    from reports.exports.tracked import tracked_records

    return TRACKERS[name](tracked_records(report))


def _mlflow(records: "list[TrackedRecord]") -> Logged:
    from harness.cli.trackers.mlflow import log_records

    return log_records(records)


def _wandb(records: "list[TrackedRecord]") -> Logged:
    from harness.cli.trackers.wandb import log_records

    return log_records(records)


TRACKERS: "dict[str, Callable[[list[TrackedRecord]], Logged]]" = {"mlflow": _mlflow, "wandb": _wandb}
"""What logs records, by the name of its library."""

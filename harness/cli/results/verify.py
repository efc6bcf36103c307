"""`bench verify`: whether a file answers a split, and how well; or whether a run is what was measured."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.options.common import DataFolder, HeldOut, Json, LabelColumn, LabelNames, MetricName, PredictedSplit, StoreFolder, TaskName, TextColumns, own_data, predicted_split
from harness.cli.context import CliContext
from harness.cli.results.verify_run import is_run, verify_runs

if TYPE_CHECKING:
    from harness.workload.data import Split


def verify(
    context: typer.Context,
    asked: Annotated[
        str,
        typer.Argument(
            metavar="FILE|RUN",
            help="A prediction file; or a run by id, `latest`, its folder, or a store.",
            show_default=False,
        ),
    ],
    task: TaskName = "boolq",
    data: DataFolder = None,
    text: TextColumns = None,
    label: LabelColumn = None,
    metric: MetricName = None,
    labels: LabelNames = None,
    held_out: HeldOut = None,
    split: PredictedSplit = None,
    store: StoreFolder = None,
    json: Json = False,
) -> None:
    """Check a prediction file against a split, or a run's figures and hashes against its raw samples."""
    from harness.workload.data import load_split
    from harness.workload.data.user_files import find_task_data
    from harness.workload.tasks.prediction_files import read_predictions

    toolbox: CliContext = context.obj
    own = own_data(text, label, metric, labels, held_out)
    if is_run(asked):
        verify_runs(toolbox, asked, data, own, store, json=json)
        return
    file = Path(asked)
    name = predicted_split(split, data)
    place = find_task_data(task, data, own, toolbox.cache(), split=name, labelled=False)
    found = load_split(place.task, place.data, name)
    facts = _facts(file, found, read_predictions(place.task, file, found.examples))
    _show(facts, json=json)


def _facts(file: Path, split: "Split", answers: list[str]) -> dict[str, Any]:
    from harness.analysis.statistics.estimates import quality
    from harness.workload.tasks.metrics import mean_score

    facts: dict[str, Any] = {
        "file": str(file),
        "task": split.task.name,
        "split": split.name,
        "tier": split.tier,
        "note": split.note,
        "answers": len(answers),
        "metrics": {},
        "score": None,
        "unavailable": None,
    }
    if not all(example.gold for example in split.examples):
        return {**facts, "unavailable": f"the {split.name} split hides its labels"}
    metrics = quality(split.task, split.examples, answers)
    score = mean_score({name: estimate.value for name, estimate in metrics.items()})
    return {**facts, "metrics": {name: asdict(found) for name, found in metrics.items()}, "score": score}


def _show(facts: dict[str, Any], *, json: bool) -> None:
    import json as encoder

    if json:
        typer.echo(encoder.dumps(facts))
        return
    typer.echo(
        f"valid: {facts['answers']:,} answers to {facts['task']}/{facts['split']} ({facts['tier']} data)"
    )
    if facts["note"]:
        typer.echo(f"note: {facts['note']}")
    if facts["unavailable"]:
        typer.echo(f"score: unavailable, because {facts['unavailable']}")
        return
    for name, metric in facts["metrics"].items():
        value, low, high = (100 * metric[end] for end in ("value", "low", "high"))
        typer.echo(f"{name}: {value:.2f} [{low:.2f}, {high:.2f}] ({metric['method']})")
    typer.echo(f"score: {100 * facts['score']:.2f}")

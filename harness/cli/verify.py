"""`bench verify`: is this a prediction file for this split, and how good is it where labels are known."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.options import (
    DataFolder,
    HeldOut,
    Json,
    LabelColumn,
    LabelNames,
    MetricName,
    PredictedSplit,
    TaskName,
    TextColumns,
    own_data,
    predicted_split,
)
from harness.cli.toolbox import Toolbox

if TYPE_CHECKING:
    from harness.data import Split


def verify(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The prediction file.", show_default=False)],
    task: TaskName = "boolq",
    data: DataFolder = None,
    text: TextColumns = None,
    label: LabelColumn = None,
    metric: MetricName = None,
    labels: LabelNames = None,
    held_out: HeldOut = None,
    split: PredictedSplit = None,
    json: Json = False,
) -> None:
    """Check a prediction file against a split, and score it where the split has labels."""
    from harness.data import load_split
    from harness.data.own import find
    from harness.tasks.predictions import read_predictions

    toolbox: Toolbox = context.obj
    own = own_data(text, label, metric, labels, held_out)
    name = predicted_split(split, data)
    place = find(task, data, own, toolbox.cache(), split=name, labelled=False)
    found = load_split(place.task, place.data, name)
    facts = _facts(file, found, read_predictions(place.task, file, found.examples))
    _show(facts, json=json)


def _facts(file: Path, split: "Split", answers: list[str]) -> dict[str, Any]:
    from harness.estimate import quality
    from harness.tasks.scoring import mean_of

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
    score = mean_of({name: estimate.value for name, estimate in metrics.items()})
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

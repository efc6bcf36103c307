"""`bench score`: whether a prediction file is valid for a split, and its score where labels are known."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.context import CliContext
from harness.cli.options.data import PredictedData
from harness.cli.options.output import Json
from harness.cli.output.terminal import print_json

if TYPE_CHECKING:
    from harness.common.json_types import JsonObject
    from harness.workload.data import Split


def score(
    context: CliContext,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Prediction file, JSON Lines.")],
    data: PredictedData,
    json: Json = False,
) -> None:
    """Check a prediction file against a split, and score it."""
    from harness.workload.data import load_split
    from harness.workload.data.user.task_files import find_task_data
    from harness.workload.tasks.prediction_files import read_predictions

    name = data.predicted_split
    task_data = find_task_data(
        data.task, data.data, data.user_data, context.cache(), split=name, labelled=False
    )
    split = load_split(task_data.task, task_data.data, name)
    facts = _score(file, split, read_predictions(task_data.task, file, split.examples))
    if json:
        print_json(facts, indent=None)
    else:
        typer.echo(_format(facts))


def _score(file: Path, split: "Split", answers: list[str]) -> "JsonObject":
    from harness.analysis.statistics.estimates import quality

    facts: JsonObject = {
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
    score = split.task.scoring.single({name: estimate.value for name, estimate in metrics.items()})
    return {**facts, "metrics": {name: asdict(value) for name, value in metrics.items()}, "score": score}


def _format(facts: "JsonObject") -> str:
    answers = f"{facts['answers']:,} answers to {facts['task']}/{facts['split']}"
    lines = [f"valid: {answers} ({facts['tier']} data)"]
    if facts["note"]:
        lines.append(f"note: {facts['note']}")
    if facts["unavailable"]:
        return "\n".join([*lines, f"score: unavailable, because {facts['unavailable']}"])
    for name, metric in facts["metrics"].items():
        value, low, high = (100 * metric[key] for key in ("value", "low", "high"))
        lines.append(f"{name}: {value:.2f} [{low:.2f}, {high:.2f}] ({metric['method']})")
    return "\n".join([*lines, f"score: {100 * facts['score']:.2f}"])

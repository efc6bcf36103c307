"""One of our variants as a whole program, files to files: what is timed at boundary `process`.

    python -P -m harness.runs.worker.process_program SPEC DATA OUTPUT

It loads the artifact, reads the split, encodes, answers all at once, and writes the official prediction file.
Everything it imports is part of what it costs, so it imports little.
"""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.catalog import Catalog, load_catalog
from harness.common.json_codec import from_json, to_json
from harness.common.json_types import JsonObject
from harness.systems.interface import Artifact, Placement, Request, Settings, require_finite
from harness.workload.tasks import TaskReference, resolve_task
from harness.workload.tasks.base import split_path

ABOUT = "about.json"
"""The file beside its answers that holds a `ProgramReport`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramSpec:
    """What the program loads and answers; it is passed on the command line as JSON."""

    task: TaskReference
    split: str
    variant: str
    artifact: Artifact
    settings: Settings
    placement: Placement


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramReport:
    """The engine's effective settings, the tokens it was given, and the ids of examples that were cut."""

    effective: JsonObject
    tokens: int
    cut: Sequence[str]


def answer(
    spec: ProgramSpec, data: Path, output: Path, catalog: Callable[[], Catalog] = load_catalog
) -> None:
    """Answer the split below `data` with the variant of the spec; write its predictions and its report."""
    task = resolve_task(spec.task)
    system = catalog().variant(spec.variant).load(task, spec.artifact, spec.placement, spec.settings)
    examples = task.read(data / split_path(task, spec.split), labelled=False)
    requests = system.encode(examples)
    predictions = system.predict(requests)
    require_finite(predictions.logits)
    answers = predictions.answers or task.decide(predictions.logits, predictions.offsets)
    rows = task.answer_rows(examples, answers)
    (output / f"{task.folder}.jsonl").write_text(
        "".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8"
    )
    report = ProgramReport(
        effective=dict(system.describe()),
        tokens=sum(request.tokens for request in requests),
        cut=[request.id for request in requests if _is_cut(request)],
    )
    (output / ABOUT).write_text(json.dumps(to_json(report)), encoding="utf-8")
    system.close()


def _is_cut(request: Request) -> bool:
    return any(part.cut for part in request.sequences)


if __name__ == "__main__":
    answer(from_json(ProgramSpec, json.loads(sys.argv[1])), Path(sys.argv[2]), Path(sys.argv[3]))

"""One of our variants as a whole program, files to files: what is timed at boundary `process`.

    python -P -m harness.runs.worker.process_program SPEC DATA OUTPUT

It loads the artifact, reads the split, encodes, answers all at once, and writes the official prediction file.
Everything it imports is part of what it costs, so it imports little.
"""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from harness.catalog import Catalog, load_catalog
from harness.systems.interface import Artifact, Placement, Request, Settings
from harness.workload.tasks import resolve_task
from harness.workload.tasks.base import split_path

ABOUT = "about.json"
"""What it leaves beside its answers: what the engine made of it, how many tokens it saw, what it cut."""


def answer(
    spec: Mapping[str, Any], data: Path, output: Path, catalog: Callable[[], Catalog] = load_catalog
) -> None:
    """Answer the split below `data` with the variant of the spec; write its predictions, and what it is.

    `spec` holds task, split, variant, artifact, settings and placement, as the worker's `open` reads them.
    """
    task = resolve_task(spec["task"])
    made = spec["artifact"]
    artifact = Artifact(Path(made["folder"]), made["key"], made["manifest"])
    placement = Placement(**{**spec["placement"], "cpus": tuple(spec["placement"]["cpus"])})
    system = catalog().variant(spec["variant"]).load(task, artifact, placement, Settings(**spec["settings"]))
    examples = task.read(data / split_path(task, spec["split"]), labelled=False)
    requests = system.encode(examples)
    said = system.predict(requests)
    answers = said.answers or task.decide(said.logits, said.offsets)
    rows = task.answer_rows(examples, answers)
    (output / f"{task.folder}.jsonl").write_text(
        "".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8"
    )
    about = {
        "effective": dict(system.describe()),
        "tokens": sum(request.tokens for request in requests),
        "cut": [request.id for request in requests if _cut(request)],
    }
    (output / ABOUT).write_text(json.dumps(about), encoding="utf-8")
    system.close()


def _cut(request: Request) -> bool:
    return any(part.cut for part in request.sequences)


if __name__ == "__main__":
    answer(json.loads(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))

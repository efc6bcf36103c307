"""A prepared variant becomes a folder that runs by itself, or nothing at all.

    artifact --copy--> scratch folder --serve.py answers as the system does--> renamed to the output

The folder needs nothing of this project: the check runs its script in an interpreter of its own.
"""

import json
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from baselines.checkpoints.artifacts import library_versions
from baselines.checkpoints.folder import TOKENIZER, file_sha256, read_config
from baselines.checkpoints.labels import label_columns
from baselines.encoding.batching import SEQUENCES_AT_ONCE
from baselines.engines.onnx.runtime import GRAPH
from baselines.export.documentation import Shown, licences, readme
from baselines.export.licences import licences_of
from baselines.export.verify import TOLERANCE, AnswerComparison, answered, request_of
from harness.common.errors import StoreError, UsageError
from harness.systems.interface import Artifact, Checkpoint, Placement, Progress, Settings, Variant
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Example

_LIBRARIES = ("numpy", "tokenizers", "onnxruntime")
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class ExportedVariant:
    """What is handed over, and what it is checked on.

    `examples` are answered by both sides; `sample` too, and it is shown with its answer, so it must hold
    nobody's text. The benchmark runs `instances` of it. `provenance` is what the caller knows of the origin,
    `data` a sentence on the terms of the data.
    """

    variant: Variant
    artifact: Artifact
    task: Task
    settings: Settings
    placement: Placement
    checkpoint: Checkpoint
    examples: Sequence[Example]
    sample: Example
    instances: int
    provenance: Mapping[str, Any]
    data: str


def export_package(winner: ExportedVariant, output: Path, told: Progress) -> dict[str, Any]:
    """Write the folder and return its manifest.

    UsageError for a variant without an ONNX graph; CheckpointError if the script does not answer as the
    system does; StoreError if the folder cannot be written, or is there by now.
    """
    if not (winner.artifact.folder / GRAPH).is_file():
        raise UsageError(
            f"{winner.variant.name} has no ONNX graph, and the serving script runs nothing else.",
            remedy="Export an onnx-* variant (`bench list`).",
        )
    with _whole(output) as folder:
        told("copying the model")
        settings = _write_model(winner, folder)
        told("asking the script what the system was asked")
        effective, shown = _check(winner, folder)
        return _write_pages(winner, folder, settings, effective, shown)


def require_free(output: Path) -> None:
    """Raise UsageError unless the folder is not there, or empty; StoreError where none can be made."""
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UsageError("the output is there already.", where=str(output), remedy="Name a new folder.")
    near = next(place for place in output.absolute().parents if place.exists())
    if not near.is_dir() or not os.access(near, os.W_OK):
        raise StoreError("no folder can be made here.", where=str(near), remedy="Name another --output.")


def _write_model(winner: ExportedVariant, folder: Path) -> dict[str, Any]:
    """Write everything but the pages; return the settings."""
    source, text = winner.artifact.folder, winner.sample.inputs[0]
    for path in (*source.glob(f"{GRAPH}*"), source / TOKENIZER):  # a large graph has its weights beside it
        shutil.copyfile(path, folder / path.name)
    config, libraries = read_config(source), library_versions(*_LIBRARIES)
    settings = {
        "format": _FORMAT,
        "model": GRAPH,
        "engine": "onnxruntime",
        "task": winner.task.name,
        "head": winner.task.head,
        "labels": list(winner.task.labels),
        "columns": label_columns(config, winner.task, winner.checkpoint.name),
        "pair": text.second is not None,
        "spans": len(text.spans),
        "max_length": winner.settings.max_length,
        "pad_id": int(config.get("pad_token_id") or 0),
        "threads": winner.placement.threads,
        "sequences_at_once": SEQUENCES_AT_ONCE,
        "libraries": {"python": platform.python_version(), **libraries},
    }
    _write(folder / "settings.json", _json(settings))
    _write(folder / "requirements.txt", "".join(f"{name}=={found}\n" for name, found in libraries.items()))
    _write(folder / "serve.py", files("baselines.export").joinpath("serve.py").read_text(encoding="utf-8"))
    return settings


def _check(winner: ExportedVariant, folder: Path) -> tuple[dict[str, Any], Shown]:
    """Return what the system says of itself, and how far the script's answers are from its; or raise."""
    asked = [winner.sample, *winner.examples]
    system = winner.variant.load(winner.task, winner.artifact, winner.placement, winner.settings)
    try:
        ours = [system.predict(system.encode([example])).logits for example in asked]
        effective = dict(system.describe())
    finally:
        system.close()
    requests = [request_of(example) for example in asked]
    answers = answered(folder, requests)
    worst = max(map(AnswerComparison(winner.task).difference, asked, ours, answers))
    return effective, Shown(requests[0], answers[0], len(asked), worst)


def _write_pages(
    winner: ExportedVariant,
    folder: Path,
    settings: Mapping[str, Any],
    effective: Mapping[str, Any],
    shown: Shown,
) -> dict[str, Any]:
    checkpoint = winner.checkpoint
    facts = {
        **winner.provenance,
        "task": winner.task.name,
        "variant": winner.variant.name,
        "model": {
            "name": checkpoint.name,
            "tier": checkpoint.tier,
            "fingerprint": checkpoint.fingerprint,
            "trained": checkpoint.trained,
            "trained_on": checkpoint.trained_on,
        },
        "artifact": {"key": winner.artifact.key, "manifest": dict(winner.artifact.manifest)},
        "instances": winner.instances,
        "effective": dict(effective),
        "check": {
            "requests": shown.examples,
            "equal_answers": True,
            "max_logit_difference": shown.difference,
            "bound": TOLERANCE,
        },
    }
    _write(folder / "README.md", readme(facts, settings, shown))
    _write(folder / "LICENSES.md", licences(licences_of(checkpoint), winner.data))
    facts["files"] = {
        path.name: {"bytes": path.stat().st_size, "sha256": file_sha256(path)}
        for path in sorted(folder.iterdir())
    }
    _write(folder / "manifest.json", _json(facts))
    return facts


@contextmanager
def _whole(output: Path) -> Iterator[Path]:
    """Give a folder to fill that becomes `output` only if the block ends without error."""
    near = next(place for place in output.absolute().parents if place.is_dir())
    try:
        scratch = Path(tempfile.mkdtemp(dir=near, prefix=f".{output.name}-"))
    except OSError as problem:
        raise _cannot_write(output, problem) from None
    try:
        yield scratch
        scratch.chmod(0o755)
        output.parent.mkdir(parents=True, exist_ok=True)
        os.rename(scratch, output)  # noqa: PTH104 -- onto an empty folder too, which Path.rename does not promise
    except OSError as problem:
        raise _cannot_write(output, problem) from problem
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _json(facts: Mapping[str, Any]) -> str:
    return json.dumps(facts, indent=1) + "\n"


def _cannot_write(output: Path, problem: OSError) -> StoreError:
    return StoreError(f"cannot be written: {problem.strerror or problem}.", where=str(output))

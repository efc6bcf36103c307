"""Intermediate training: a checkpoint learns entailment pairs before it learns the task.

    encoder --pairs, once--> intermediate checkpoint (cached) --train--> one model per task and seed

Entailment first, then the task, is STILTs (Phang et al. 2018, arXiv 1811.01088); BoolQ's authors gained five
points of accuracy by it (Clark et al. 2019, arXiv 1905.10044, table 3). The checkpoint is keyed by the
model, the files and the settings, so that every task and seed begins with the same one.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from baselines.checkpoints.artifacts import cache_key, find_or_make, library_versions
from baselines.training.datasets import RECORD, TrainingProgress, TrainingSettings
from baselines.training.finetune import finetune
from harness.systems.interface import Cache, Checkpoint
from harness.workload.tasks.example import Example
from harness.workload.tasks.intermediate import IntermediateTask

_VERSION = 1
_LIBRARIES = ("torch", "transformers")


class PairFiles(Protocol):
    """What the files hold: the task, its examples, and the facts of each file."""

    task: IntermediateTask
    examples: Sequence[Example]
    files: Sequence[Any]
    fingerprint: str


@dataclass(frozen=True, slots=True)
class IntermediateTraining:
    """The intermediate checkpoint, and what the records of trainings that begin with it hold about it."""

    checkpoint: Checkpoint
    facts: dict[str, Any]


def train_intermediate(
    pairs: PairFiles,
    model: Checkpoint,
    cache: Cache,
    *,
    tuning: TrainingSettings,
    device: str = "cpu",
    progress: Callable[[TrainingProgress], None] = lambda _: None,
    energy: Callable[[], Any] | None = None,
    resume: bool = True,
    clock: Callable[[], float] = time.monotonic,
) -> IntermediateTraining:
    """Return the checkpoint that was trained on these pairs, from the cache where it is there.

    An interrupted training resumes from its last checkpoint. Errors are those of `finetune`.
    """
    settings = {"tuning": tuning.facts(), "pairs": pairs.fingerprint}
    libraries = library_versions(*_LIBRARIES)
    key = cache_key(
        "intermediate", _VERSION, pairs.task, [model.fingerprint], libraries=libraries, **settings
    )

    def make(folder: Path) -> dict[str, Any]:
        with cache.working(key) as scratch:
            finetune(
                pairs.task, pairs.examples, (), model, scratch / "model", tuning=tuning, device=device,
                data_fingerprint=pairs.fingerprint, progress=progress, energy=energy, resume=resume,
                clock=clock,
            )  # fmt: skip
            for path in (scratch / "model").iterdir():
                path.rename(folder / path.name)
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        # `seconds` and `energy` of the record cover the session that finished; the manifest's do as well
        return {"recipe": "intermediate", "version": _VERSION, "parents": [model.fingerprint], **record}

    artifact = find_or_make(cache, key, make)
    trained = replace(
        model,
        name=f"{model.name} after {' and '.join(file.name for file in pairs.files)}",
        folder=artifact.folder,
        tier="local",
        fingerprint=_fingerprint(artifact.folder),
        trained_on=pairs.fingerprint,
    )
    return IntermediateTraining(trained, _facts(artifact.manifest, pairs, model, key))


def _fingerprint(folder: Path) -> str:
    from baselines.checkpoints.folder import fingerprint

    return fingerprint(folder)


_RECORDED = (
    "tuning",
    "examples",
    "labels",
    "selection",
    "kept_step",
    "steps",
    "seconds",
    "energy",
    "precision",
)


def _facts(manifest: Any, pairs: PairFiles, model: Checkpoint, key: str) -> dict[str, Any]:  # noqa: ANN401 -- JSON
    return {
        "key": key,
        "model": model.name,
        "parents": [model.fingerprint],
        "files": [asdict(file) for file in pairs.files],
        **{name: manifest[name] for name in _RECORDED if name in manifest},
    }

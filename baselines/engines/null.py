"""A system that returns zeros at once: it measures the overhead of the harness.

Every other system pays the time that is reported for this one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from baselines.checkpoints.artifacts import cache_key
from harness.systems.interface import (
    Artifact,
    EncodedSequence,
    Placement,
    Predictions,
    PreparationContext,
    PreparationSources,
    Request,
    Settings,
    offsets_of,
)
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Example


@dataclass(frozen=True, slots=True)
class NullSystem:
    """A system that returns equal logits for every sequence, one for each of `labels` labels."""

    labels: int

    def encode(self, examples: Sequence[Example]) -> list[Request]:
        """Return requests whose sequences have one token each."""
        token = np.zeros(1, dtype=np.int64)
        sequence = EncodedSequence(ids=token, segments=token)
        return [Request(example.id, (sequence,) * len(example.inputs)) for example in examples]

    def predict(self, requests: Sequence[Request]) -> Predictions:
        """Return logits of zero."""
        offsets = offsets_of(requests)
        return Predictions(np.zeros((offsets[-1], self.labels), dtype=np.float32), offsets)

    def describe(self) -> Mapping[str, Any]:
        """Return that the input is not read."""
        return {"engine": "null", "reads_input": False}

    def close(self) -> None:
        """Release nothing."""


@dataclass(frozen=True, slots=True)
class NullVariant:
    """The variant `null`, which needs no files and loads at once."""

    name: str = "null"
    summary: str = "answers at once with equal logits; measures the harness itself"
    reads_checkpoint: ClassVar[bool] = False

    def unavailable(self) -> str | None:
        """Return None: it has no requirements."""
        return None

    def prepare(
        self, task: Task, sources: PreparationSources, settings: Settings, context: PreparationContext
    ) -> Artifact:
        """Return an artifact without files of its own."""
        del settings, context
        parents = [sources.checkpoint.fingerprint]
        manifest = {"recipe": self.name, "version": 1, "parents": parents, "seconds": 0.0}
        return Artifact(sources.checkpoint.folder, cache_key(self.name, 1, task, parents), manifest)

    def load(self, task: Task, artifact: Artifact, placement: Placement, settings: Settings) -> NullSystem:
        """Return the system."""
        del artifact, placement, settings
        return NullSystem(len(task.labels))

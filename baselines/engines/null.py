"""A system that answers at once with nothing: it measures the harness.

What the loop reports for it is overhead that every other system pays too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

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
    """Answers every sequence with equal logits, one for each of `labels` labels."""

    labels: int

    def encode(self, examples: Sequence[Example]) -> list[Request]:
        """Return requests whose sequences hold one token each."""
        token = np.zeros(1, dtype=np.int64)
        sequence = EncodedSequence(ids=token, segments=token)
        return [Request(example.id, (sequence,) * len(example.inputs)) for example in examples]

    def predict(self, requests: Sequence[Request]) -> Predictions:
        """Return zeros."""
        offsets = offsets_of(requests)
        return Predictions(np.zeros((offsets[-1], self.labels), dtype=np.float32), offsets)

    def describe(self) -> Mapping[str, Any]:
        """Say that nothing computes."""
        return {"engine": "null", "reads_input": False}

    def close(self) -> None:
        """Release nothing."""


@dataclass(frozen=True, slots=True)
class NullVariant:
    """The way to a system that does nothing."""

    name: str = "null"
    summary: str = "answers at once with equal logits; measures the harness itself"

    def unavailable(self) -> str | None:
        """Return None: it needs nothing."""
        return None

    def prepare(
        self, task: Task, sources: PreparationSources, settings: Settings, workshop: PreparationContext
    ) -> Artifact:
        """Return an artifact without files of its own."""
        del settings, workshop
        parents = [sources.checkpoint.fingerprint]
        manifest = {"recipe": self.name, "version": 1, "parents": parents, "seconds": 0.0}
        return Artifact(sources.checkpoint.folder, cache_key(self.name, 1, task, parents), manifest)

    def load(self, task: Task, artifact: Artifact, placement: Placement, settings: Settings) -> NullSystem:
        """Return the system."""
        del artifact, placement, settings
        return NullSystem(len(task.labels))

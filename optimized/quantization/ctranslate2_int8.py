"""Int8 in CTranslate2: weights once, activations with a scale for each token as they come, no calibration.

With a scale a token, an answer does not depend on what it is batched with.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from baselines.checkpoints.artifacts import cache_key, cpu_flags, find_or_make, library_versions
from baselines.engines.ctranslate2 import (
    LIBRARIES,
    CTranslate2System,
    CTranslate2Variant,
    check_checkpoint,
    open_model,
)
from baselines.engines.ctranslate2_weights import FULL_RANGE, SEVEN_BITS, write_model
from baselines.engines.onnx.runtime import copy_text_side
from harness.systems.interface import Artifact, Placement, PreparationContext, PreparationSources, Settings
from harness.workload.tasks.base import Task
from optimized.graphs.candidates import CandidateTimer, Opener, closeness
from optimized.quantization.weight_range import choose_range

_VERSION = 1
_COMPUTE = "int8"


@dataclass(frozen=True, slots=True)
class CTranslate2Int8Variant:
    """The checkpoint's encoder in CTranslate2 with int8 matrix products; the head stays float32."""

    name: str = "ctranslate2-int8"
    summary: str = "CTranslate2 int8, a scale for each token, no padding (extra ctranslate2)"
    parent: CTranslate2Variant = field(default_factory=CTranslate2Variant)

    def unavailable(self) -> str | None:
        """Say what is not installed."""
        return self.parent.unavailable()

    def prepare(
        self, task: Task, sources: PreparationSources, settings: Settings, workshop: PreparationContext
    ) -> Artifact:
        """Write the model with int8 weights; one whose answers are not the model's is refused."""
        checkpoint = sources.checkpoint
        check_checkpoint(checkpoint.folder, task, settings, checkpoint.name)
        parent = self.parent.prepare(task, sources, settings, workshop)
        bench = CandidateTimer(self.name, task, sources.trial, settings, workshop)
        libraries = library_versions(*LIBRARIES)
        parts = {**bench.key_parts(), "libraries": libraries}
        key = cache_key(self.name, _VERSION, task, [parent.key], **parts)

        def make(folder: Path) -> dict[str, Any]:
            workshop.progress("quantising for CTranslate2")
            copy_text_side(checkpoint.folder, folder)
            named = {"recipe": self.name, "version": _VERSION, "libraries": libraries}
            facts = {"weights": "int8, per channel", "activations": "int8, a scale for each token"}
            found = _write_and_compare(checkpoint.folder, parent, folder, bench)
            return {**named, "parents": [parent.key], "cpu": list(cpu_flags()), **facts, **found}

        return find_or_make(workshop.cache, key, make, energy=workshop.energy)

    def load(
        self, task: Task, artifact: Artifact, placement: Placement, settings: Settings
    ) -> CTranslate2System:
        """Open the model; DeviceError for anything but the CPU."""
        return open_model(artifact, task, placement, settings, _COMPUTE)


def _write_and_compare(source: Path, parent: Artifact, folder: Path, bench: CandidateTimer) -> dict[str, Any]:
    def opener(artifact: Artifact, compute: str) -> Opener:
        place = bench.workshop.placement
        return lambda settings: open_model(artifact, bench.task, place, settings, compute)

    def rounded(reduced: bool) -> Opener:
        write_model(source, folder, SEVEN_BITS if reduced else FULL_RANGE)
        return opener(Artifact(folder, "", {}), _COMPUTE)

    exact = opener(parent, "float32")
    reduced, basis = choose_range(bench, exact, rounded)
    return {**basis, **closeness(bench, exact, rounded(reduced))}

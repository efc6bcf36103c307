"""The int8 variant of CTranslate2: per-channel weights, per-token activation scales, no calibration.

Activation scales are computed per token, so an answer does not depend on its batch mates.
"""

from dataclasses import dataclass, field
from pathlib import Path

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
from harness.common.json_types import JsonObject
from harness.systems.interface import Artifact, Placement, PreparationContext, PreparationSources, Settings
from harness.workload.tasks.base import Task
from optimized.graphs.candidates import CandidateTimer, Opener, compare_with_fp32
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
        """Return what is not installed."""
        return self.parent.unavailable()

    def unsupported(self, task: Task, config: JsonObject) -> str | None:
        """Return what CTranslate2 lacks for the encoder of a checkpoint."""
        return self.parent.unsupported(task, config)

    def prepare(
        self, task: Task, sources: PreparationSources, settings: Settings, context: PreparationContext
    ) -> Artifact:
        """Write the model with int8 weights; CheckpointError if its answers are too far from float32's."""
        checkpoint = sources.checkpoint
        check_checkpoint(checkpoint.folder, task, settings, checkpoint.name)
        parent = self.parent.prepare(task, sources, settings, context)
        timer = CandidateTimer.of(self.name, task, sources, settings, context)
        libraries = library_versions(*LIBRARIES)
        parts = {**timer.key_parts(), "libraries": libraries}
        key = cache_key(self.name, _VERSION, task, [parent.key], **parts)

        def make(folder: Path) -> JsonObject:
            context.progress("quantising for CTranslate2")
            copy_text_side(checkpoint.folder, folder)
            comparison = _write_and_compare(checkpoint.folder, parent, folder, timer)
            return {
                "recipe": self.name,
                "version": _VERSION,
                "libraries": libraries,
                "parents": [parent.key],
                "cpu": list(cpu_flags()),
                "weights": "int8, per channel",
                "activations": "int8, a scale for each token",
                **comparison,
            }

        return find_or_make(context.cache, key, make, energy=context.energy)

    def load(
        self, task: Task, artifact: Artifact, placement: Placement, settings: Settings
    ) -> CTranslate2System:
        """Open the model; DeviceError for anything but the CPU."""
        return open_model(artifact, task, placement, settings, _COMPUTE)


def _write_and_compare(source: Path, parent: Artifact, folder: Path, timer: CandidateTimer) -> JsonObject:
    def opener(artifact: Artifact, compute: str) -> Opener:
        placement = timer.context.placement
        return lambda settings: open_model(artifact, timer.task, placement, settings, compute)

    def rounded(reduced: bool) -> Opener:
        write_model(source, folder, SEVEN_BITS if reduced else FULL_RANGE)
        return opener(Artifact(folder, "", {}), _COMPUTE)

    exact = opener(parent, "float32")
    reduced, basis = choose_range(timer, exact, rounded)
    return {**basis, **compare_with_fp32(timer, exact, rounded(reduced))}

"""A variant whose fp32 graph is fused by ONNX Runtime's transformer optimiser: fewer nodes, equal answers.

Fusing is faster where the number of nodes dominates, and slower where its normalisation kernel does (on
BERT-base by 5 % with one thread), so the fused graph is kept only where it is faster on this machine.
"""

import shutil
from dataclasses import dataclass, field
from pathlib import Path

from baselines.checkpoints.artifacts import (
    cache_key,
    cpu_flags,
    find_or_make,
    library_versions,
    missing_modules,
)
from baselines.engines.onnx.runtime import GRAPH, OnnxSystem, OnnxVariant, copy_text_side, open_graph
from harness.common.json_types import JsonObject
from harness.systems.interface import Artifact, Placement, PreparationContext, PreparationSources, Settings
from harness.workload.tasks.base import Task
from optimized.graphs.candidates import LIBRARIES, CandidateTimer, fuse_checked, keep_fastest

_VERSION = 1


@dataclass(frozen=True, slots=True)
class FusedVariant:
    """The fp32 graph, fused where that is faster."""

    name: str = "onnx-fused"
    summary: str = "ONNX Runtime fp32, graph fused by its transformer optimiser where that is faster here"
    parent: OnnxVariant = field(default_factory=OnnxVariant)
    fusion_tolerance: float = 1e-4  # largest difference of a logit, fused against raw, both in float32

    def unavailable(self) -> str | None:
        """Return what is not installed."""
        return self.parent.unavailable() or missing_modules(*LIBRARIES)

    def prepare(
        self, task: Task, sources: PreparationSources, settings: Settings, context: PreparationContext
    ) -> Artifact:
        """Fuse the cached fp32 graph; time both on the trial examples and keep the faster."""
        parent = self.parent.prepare(task, sources, settings, context)
        timer = CandidateTimer.of(self.name, task, sources, settings, context)
        options = {"fusion_tolerance": self.fusion_tolerance}
        key = cache_key(self.name, _VERSION, task, [parent.key], **options, **timer.key_parts())

        def make(folder: Path) -> JsonObject:
            copy_text_side(parent.folder, folder)
            context.progress("fusing the graph")
            raw, fused = folder / "raw.onnx", folder / "fused.onnx"
            shutil.copyfile(parent.folder / GRAPH, raw)
            fusion = fuse_checked(parent, fused, self.fusion_tolerance)
            graphs = {"raw": raw} if isinstance(fusion, str) else {"raw": raw, "fused": fused}
            return {
                "recipe": self.name,
                "version": _VERSION,
                "parents": [parent.key],
                "libraries": library_versions(*LIBRARIES),
                "cpu": list(cpu_flags()),
                "fusion": fusion,
                **keep_fastest(graphs, folder, timer),
            }

        return find_or_make(context.cache, key, make, energy=context.energy)

    def load(self, task: Task, artifact: Artifact, placement: Placement, settings: Settings) -> OnnxSystem:
        """Open the graph; DeviceError for anything but the CPU."""
        return open_graph(artifact.folder / GRAPH, task, placement, settings, artifact.manifest)

"""The fp32 graph fused by ONNX Runtime's transformer optimiser: fewer nodes, the same numbers.

Fusing wins where the count of nodes matters and loses where its own normalisation kernel does (on BERT-base
it was 5 % slower with one thread), so it is kept only where it is faster here.
"""

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from baselines.checkpoints.artifacts import (
    cache_key,
    cpu_flags,
    find_or_make,
    library_versions,
    missing_modules,
)
from baselines.engines.onnx.runtime import GRAPH, OnnxSystem, OnnxVariant, copy_text_side, open_graph
from harness.systems.interface import Artifact, Placement, PreparationContext, PreparationSources, Settings
from harness.workload.tasks.base import Task
from optimized.graphs.candidates import LIBRARIES, CandidateTimer, fused_from, keep_fastest

_VERSION = 1


@dataclass(frozen=True, slots=True)
class FusedVariant:
    """The fp32 graph, fused where that is faster."""

    name: str = "onnx-fused"
    summary: str = "ONNX Runtime fp32, graph fused by its transformer optimiser where that is faster here"
    parent: OnnxVariant = field(default_factory=OnnxVariant)
    fusion_tolerance: float = 1e-4  # of a logit, fused against raw, both in float32

    def unavailable(self) -> str | None:
        """Say what is not installed."""
        return self.parent.unavailable() or missing_modules(*LIBRARIES)

    def prepare(
        self, task: Task, sources: PreparationSources, settings: Settings, workshop: PreparationContext
    ) -> Artifact:
        """Fuse the cached fp32 graph; time both on the trial examples and keep the faster."""
        parent = self.parent.prepare(task, sources, settings, workshop)
        bench = CandidateTimer(self.name, task, sources.trial, settings, workshop)
        mine = {"fusion_tolerance": self.fusion_tolerance}
        key = cache_key(self.name, _VERSION, task, [parent.key], **mine, **bench.key_parts())

        def make(folder: Path) -> dict[str, Any]:
            copy_text_side(parent.folder, folder)
            workshop.progress("fusing the graph")
            raw, fused = folder / "raw.onnx", folder / "fused.onnx"
            shutil.copyfile(parent.folder / GRAPH, raw)
            fusion = fused_from(parent, fused, self.fusion_tolerance)
            graphs = {"raw": raw} if isinstance(fusion, str) else {"raw": raw, "fused": fused}
            return {
                "recipe": self.name,
                "version": _VERSION,
                "parents": [parent.key],
                "libraries": library_versions(*LIBRARIES),
                "cpu": list(cpu_flags()),
                "fusion": fusion,
                **keep_fastest(graphs, folder, bench),
            }

        return find_or_make(workshop.cache, key, make, energy=workshop.energy)

    def load(self, task: Task, artifact: Artifact, placement: Placement, settings: Settings) -> OnnxSystem:
        """Open the graph; DeviceError for anything but the CPU."""
        return open_graph(artifact.folder / GRAPH, task, placement, settings, artifact.manifest)

"""The int8 variant of ONNX Runtime's dynamic quantisation: activation scales per call, no calibration data.

As in FastFormers (Kim and Hassan Awadalla 2020), only matrix products are quantised, with signed weights per
output channel, since one scale per tensor reduced a small student's accuracy; embeddings stay float. The
graph is quantised as exported and, where the family can be fused, after ONNX Runtime's transformer optimiser.
Which is faster depends on the machine, so both are timed and the faster is kept.
"""

from collections.abc import Sequence
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
from harness.common.errors import UsageError
from harness.common.json_types import JsonObject
from harness.systems.interface import Artifact, Placement, PreparationContext, PreparationSources, Settings
from harness.workload.tasks.base import Task
from optimized.graphs.candidates import (
    LIBRARIES,
    CandidateTimer,
    Opener,
    compare_with_parent,
    fuse_checked,
    fusion_failure,
    keep_fastest,
)
from optimized.graphs.matmul_groups import as_names, matmul_groups, select_nodes
from optimized.graphs.transforms import quantise
from optimized.quantization.sensitivity import resolve_keep_float
from optimized.quantization.weight_range import choose_range

_VERSION = 3


@dataclass(frozen=True, slots=True)
class Int8Variant:
    """The fp32 graph with int8 matrix products.

    `keep_float` names the operators that stay in float: groups (`layer.3.attention`, `layer.0.ffn`,
    `classifier`), nodes of the graph, or `auto:2` for the two groups that int8 changes most.
    """

    name: str = "onnx-int8"
    summary: str = "ONNX Runtime dynamic int8, per channel, raw or fused graph, whichever is faster here"
    parent: OnnxVariant = field(default_factory=OnnxVariant)
    fusion_tolerance: float = 1e-4  # largest difference of a logit, fused against raw, both in float32
    keep_float: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Accept a single name as well as several."""
        object.__setattr__(self, "keep_float", as_names(self.keep_float))

    def unavailable(self) -> str | None:
        """Return what is not installed."""
        return self.parent.unavailable() or missing_modules(*LIBRARIES)

    def prepare(
        self, task: Task, sources: PreparationSources, settings: Settings, context: PreparationContext
    ) -> Artifact:
        """Quantise the cached fp32 graph; time the candidates on the trial examples and keep the faster."""
        parent = self.parent.prepare(task, sources, settings, context)
        timer = CandidateTimer.of(self.name, task, sources, settings, context)
        options = {"keep_float": self.keep_float, "fusion_tolerance": self.fusion_tolerance}
        key = cache_key(self.name, _VERSION, task, [parent.key], **options, **timer.key_parts())
        cached = context.cache.find(key)
        if cached is not None:
            return cached
        keep, sensitivity = resolve_keep_float(parent, self.keep_float, timer)

        def make(folder: Path) -> JsonObject:
            parents = [parent.key, *sensitivity.get("parents", ())]
            facts = _quantise_and_choose(parent, folder, timer, keep, self.fusion_tolerance)
            return {"recipe": self.name, "version": _VERSION, **sensitivity, "parents": parents, **facts}

        return find_or_make(context.cache, key, make, energy=context.energy)

    def load(self, task: Task, artifact: Artifact, placement: Placement, settings: Settings) -> OnnxSystem:
        """Open the graph; DeviceError for anything but the CPU."""
        return open_graph(artifact.folder / GRAPH, task, placement, settings, artifact.manifest)


def _quantise_and_choose(
    parent: Artifact, folder: Path, timer: CandidateTimer, keep: Sequence[str], tolerance: float
) -> JsonObject:
    copy_text_side(parent.folder, folder)
    timer.context.progress("quantising to int8")
    graphs = {"raw": folder / "raw.onnx"}
    raw = parent.folder / GRAPH
    nodes = _nodes(raw, keep)

    def write(reduced: bool) -> Opener:
        quantise(raw, graphs["raw"], reduce_range=reduced, keep=nodes)
        return timer.opener(graphs["raw"])

    reduced, range_facts = choose_range(timer, timer.opener(raw), write)
    write(reduced)
    fusion = _fused_candidate(parent, folder, graphs, keep, tolerance, reduced=reduced)
    return {
        "weights": "int8, per channel",
        "activations": "int8, one scale for a call",
        **range_facts,
        "kept_float": list(keep),
        "libraries": library_versions(*LIBRARIES),
        "cpu": list(cpu_flags()),
        "fusion": fusion,
        **keep_fastest(graphs, folder, timer),
        **compare_with_parent(parent, folder, timer),
    }


def _fused_candidate(
    parent: Artifact,
    folder: Path,
    graphs: dict[str, Path],
    keep: Sequence[str],
    tolerance: float,
    *,
    reduced: bool,
) -> dict[str, int] | str:
    """Add the fused graph to the candidates; return the counts of fused nodes, or why it is missing."""
    source, target = folder / "fused-fp32.onnx", folder / "fused.onnx"
    fused_nodes = fuse_checked(parent, source, tolerance)
    if isinstance(fused_nodes, str):
        return fused_nodes
    try:
        quantise(source, target, reduce_range=reduced, keep=_nodes(source, keep))
    except UsageError:
        return f"unavailable, because fusing merges a node that stays in float ({', '.join(keep)})"
    except Exception as problem:  # noqa: BLE001 -- errors of the third-party quantiser have no common base
        target.unlink(missing_ok=True)
        return fusion_failure(problem)
    finally:
        source.unlink()
    graphs["fused"] = target
    return fused_nodes


def _nodes(graph: Path, keep: Sequence[str]) -> list[str]:
    return select_nodes(matmul_groups(graph), keep) if keep else []

"""Int8 by ONNX Runtime's dynamic quantisation: weights once, activations as they come, no calibration data.

As in FastFormers (Kim and Hassan Awadalla 2020): matrix products only, weights signed and per output channel,
since one scale per tensor cost a small student its accuracy; embeddings stay float. The graph is quantised as
exported and, where the family can be fused, after ONNX Runtime's transformer optimiser. Neither is always the
faster, so both are timed here and the faster is kept.
"""

from collections.abc import Sequence
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
from harness.common.errors import UsageError
from harness.systems.interface import Artifact, Placement, PreparationContext, PreparationSources, Settings
from harness.workload.tasks.base import Task
from optimized.graphs.candidates import (
    LIBRARIES,
    CandidateTimer,
    against_fp32,
    fused_from,
    keep_fastest,
    unfused,
)
from optimized.graphs.matmul_groups import as_names, chosen, products
from optimized.graphs.transforms import quantise
from optimized.quantization.sensitivity import kept_names
from optimized.quantization.weight_range import choose_range

_VERSION = 3


@dataclass(frozen=True, slots=True)
class Int8Variant:
    """The fp32 graph with int8 matrix products.

    `keep_float` names what stays in float: groups (`layer.3.attention`, `layer.0.ffn`, `classifier`), nodes
    of the graph, or `auto:2` for the two groups that int8 changes most.
    """

    name: str = "onnx-int8"
    summary: str = "ONNX Runtime dynamic int8, per channel, raw or fused graph, whichever is faster here"
    parent: OnnxVariant = field(default_factory=OnnxVariant)
    fusion_tolerance: float = 1e-4  # of a logit, fused against raw, both in float32
    keep_float: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Take one name as well as several."""
        object.__setattr__(self, "keep_float", as_names(self.keep_float))

    def unavailable(self) -> str | None:
        """Say what is not installed."""
        return self.parent.unavailable() or missing_modules(*LIBRARIES)

    def prepare(
        self, task: Task, sources: PreparationSources, settings: Settings, workshop: PreparationContext
    ) -> Artifact:
        """Quantise the cached fp32 graph; time the candidates on the trial examples and keep the faster."""
        parent = self.parent.prepare(task, sources, settings, workshop)
        bench = CandidateTimer(self.name, task, sources.trial, settings, workshop)
        mine = {"keep_float": self.keep_float, "fusion_tolerance": self.fusion_tolerance}
        key = cache_key(self.name, _VERSION, task, [parent.key], **mine, **bench.key_parts())
        found = workshop.cache.find(key)
        if found is not None:
            return found
        keep, basis = kept_names(parent, self.keep_float, bench)

        def make(folder: Path) -> dict[str, Any]:
            parents = [parent.key, *basis.get("parents", ())]
            facts = _quantise_and_choose(parent, folder, bench, keep, self.fusion_tolerance)
            return {"recipe": self.name, "version": _VERSION, **basis, "parents": parents, **facts}

        return find_or_make(workshop.cache, key, make, energy=workshop.energy)

    def load(self, task: Task, artifact: Artifact, placement: Placement, settings: Settings) -> OnnxSystem:
        """Open the graph; DeviceError for anything but the CPU."""
        return open_graph(artifact.folder / GRAPH, task, placement, settings, artifact.manifest)


def _quantise_and_choose(
    parent: Artifact, folder: Path, bench: CandidateTimer, keep: Sequence[str], tolerance: float
) -> dict[str, Any]:
    copy_text_side(parent.folder, folder)
    bench.workshop.progress("quantising to int8")
    graphs = {"raw": folder / "raw.onnx"}
    raw = parent.folder / GRAPH
    nodes = _nodes(raw, keep)

    def made(reduced: bool) -> Path:
        quantise(raw, graphs["raw"], reduce_range=reduced, keep=nodes)
        return graphs["raw"]

    reduced, basis = choose_range(bench, bench.opener(raw), lambda reduced: bench.opener(made(reduced)))
    made(reduced)
    fusion = _fused_candidate(parent, folder, graphs, keep, tolerance, reduced=reduced)
    return {
        "weights": "int8, per channel",
        "activations": "int8, one scale for a call",
        **basis,
        "kept_float": list(keep),
        "libraries": library_versions(*LIBRARIES),
        "cpu": list(cpu_flags()),
        "fusion": fusion,
        **keep_fastest(graphs, folder, bench),
        **against_fp32(parent, folder, bench),
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
    """Add the fused graph to the candidates; return the fused nodes, or why there is no such candidate."""
    plain, target = folder / "fused-fp32.onnx", folder / "fused.onnx"
    found = fused_from(parent, plain, tolerance)
    if isinstance(found, str):
        return found
    try:
        quantise(plain, target, reduce_range=reduced, keep=_nodes(plain, keep))
    except UsageError:
        return f"unavailable, because fusing merges a node that stays in float ({', '.join(keep)})"
    except Exception as problem:  # noqa: BLE001 -- a third party's quantiser on a third party's nodes
        target.unlink(missing_ok=True)
        return unfused(problem)
    finally:
        plain.unlink()
    graphs["fused"] = target
    return found


def _nodes(graph: Path, keep: Sequence[str]) -> list[str]:
    return chosen(products(graph), keep) if keep else []
